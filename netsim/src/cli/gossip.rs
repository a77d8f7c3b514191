//! `netsim gossip`: what the model of gossip says, for the comparison with real processes. Every line says that it is a model.

use artel_netsim::mesh::measure::{Measure, Measured, measure};
use std::process::ExitCode;

/// Runs the model and prints what it says.
pub fn tell(wanted: Measure, json: bool) -> ExitCode {
    let measured = measure(wanted);
    if json {
        crate::say(&as_json(&wanted, &measured))
    } else {
        as_table(&wanted, &measured)
    }
    if measured.reached_permille >= wanted.delivered_permille() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn as_json(wanted: &Measure, measured: &Measured) -> String {
    let hops: Vec<String> = measured.hops.iter().map(|(hops, count)| format!("\"{hops}\":{count}")).collect();
    let (p50, p99, most) = measured.time_us;
    format!(
        "{{\"source\":\"model\",\"nodes\":{},\"gone_percent\":{},\"shards\":{},\"bytes\":{},\"link_us\":{},\"messages\":{},\"seed\":{},\"copies_per_message_and_node\":{:.3},\
         \"reached_permille\":{},\"hops\":{{{}}},\"hops_mean\":{:.3},\"time_us\":{{\"p50\":{p50},\"p99\":{p99},\
         \"max\":{most}}},\"announcements_per_message_and_node\":{:.3},\"bytes_per_message_and_node\":{:.0}}}",
        wanted.nodes,
        wanted.gone_percent,
        wanted.shards,
        wanted.bytes,
        wanted.link_us,
        wanted.messages,
        wanted.seed,
        measured.copies,
        measured.reached_permille,
        hops.join(","),
        measured.hops_mean,
        measured.announced,
        measured.bytes
    )
}

fn as_table(wanted: &Measure, measured: &Measured) {
    let (p50, p99, most) = measured.time_us;
    crate::say(&format!(
        "model: {} messages among {} nodes, seed {}; {} of 1000 deliveries",
        wanted.messages, wanted.nodes, wanted.seed, measured.reached_permille
    ));
    crate::say(&format!("model: {:.2} copies for each message and node", measured.copies));
    crate::say(&format!("model: {:.2} hops in the mean", measured.hops_mean));
    for (hops, count) in &measured.hops {
        crate::say(&format!("model: {hops:>3} hops {count:>9} deliveries"));
    }
    crate::say(&format!("model: p50 {p50} us, p99 {p99} us, max {most} us"));
    crate::say(&format!("model: {:.2} announcements for each message and node", measured.announced));
    crate::say(&format!("model: {:.0} bytes came in for each message and node", measured.bytes));
}
