//! Calls on a world without an engine: what C does not do, and whatever a guest may think of.

use super::errno::Errno;
use super::memory::Memory;
use super::world::World;
use crate::limits::Limits;
use proptest::prelude::*;

fn limits() -> Limits {
    Limits { output_bytes: 100, log_bytes: 50, out_bytes: 1000, out_files: 5, ..Limits::default() }
}

fn world() -> World {
    let given = vec![("a".to_owned(), b"given".to_vec())];
    World::new(b"{\"input\":1}".to_vec(), given, &limits())
}

/// Puts a path at 100 and opens it; the descriptor is read from 200.
fn open(world: &mut World, memory: &mut [u8], path: &str, flags: u32, rights: u64) -> Result<u32, Errno> {
    memory[100..100 + path.len()].copy_from_slice(path.as_bytes());
    world.path_open(&mut Memory::new(memory), 3, 0, 100, path.len() as u32, flags, rights, 0, 0, 200)?;
    Ok(u32::from_le_bytes(memory[200..204].try_into().expect("four bytes")))
}

#[test]
fn addresses_outside_are_a_fault_and_change_nothing() {
    let mut world = world();
    let mut bytes = [0_u8; 64];
    let mut memory = Memory::new(&mut bytes);
    for at in [61, 64, u32::MAX - 3, u32::MAX] {
        assert_eq!(world.args_sizes_get(&mut memory, at, 0), Err(Errno::Fault));
        assert_eq!(world.fd_read(&mut memory, 0, at, 1, 0), Err(Errno::Fault));
        assert_eq!(world.fd_read(&mut memory, 0, 0, 0, at), Err(Errno::Fault));
        assert_eq!(world.random_get(&mut memory, at, 10), Err(Errno::Fault));
    }
    assert_eq!(world.fd_read(&mut memory, 0, 0, u32::MAX, 0), Err(Errno::Inval));
    assert_eq!(world.stdin_at, 0);
    // A buffer that wraps around.
    memory.set(0, &[0xf0, 0xff, 0xff, 0xff, 0x20, 0, 0, 0]).expect("inside");
    assert_eq!(world.fd_read(&mut memory, 0, 0, 1, 32), Err(Errno::Fault));
}

#[test]
fn what_a_file_is_cut_by_is_given_back() {
    let (mut world, mut memory) = (world(), vec![0_u8; 400]);
    for path in ["out/a", "out/b", "out/c", "out/d"] {
        let fd = open(&mut world, &mut memory, path, 1, 1 << 6).expect("made");
        world.fd_filestat_set_size(&mut Memory::new(&mut memory), fd, 900).expect("there is room");
        world.fd_filestat_set_size(&mut Memory::new(&mut memory), fd, 10).expect("cut");
    }
    assert!(world.files.memory_bytes() < 100, "{} bytes", world.files.memory_bytes());
}

#[test]
fn no_path_leads_out() {
    let mut world = world();
    let mut memory = vec![0_u8; 10_000];
    for (path, wanted) in [
        ("..", Errno::Notcapable),
        ("../x", Errno::Notcapable),
        ("out/../../x", Errno::Notcapable),
        ("./out/.././../x", Errno::Notcapable),
        ("/", Errno::Notcapable),
        ("/out/x", Errno::Notcapable),
        ("//etc/passwd", Errno::Notcapable),
        ("", Errno::Noent),
        ("out/\0", Errno::Inval),
        ("out/x/", Errno::Noent),
        ("out/x/..", Errno::Noent),
        ("artifacts/a/", Errno::Notdir),
        ("artifacts/a/..", Errno::Notdir),
        ("proc/self/mem", Errno::Noent),
        ("artifacts/A", Errno::Noent),
    ] {
        assert_eq!(open(&mut world, &mut memory, path, 0, 2), Err(wanted), "{path:?}");
    }
    assert_eq!(
        open(&mut world, &mut memory, &format!("out/{}", "n".repeat(256)), 1, 64),
        Err(Errno::Nametoolong)
    );
    assert_eq!(open(&mut world, &mut memory, &"./".repeat(2049), 0, 2), Err(Errno::Nametoolong));
    memory[100] = 0xff;
    assert_eq!(
        world.path_open(&mut Memory::new(&mut memory), 3, 0, 100, 1, 0, 2, 0, 0, 200),
        Err(Errno::Ilseq)
    );
    // From a directory beneath the root there is no way up either.
    let out = open(&mut world, &mut memory, "out", 2, 0).expect("a directory");
    memory[100..104].copy_from_slice(b"../x");
    let up = world.path_open(&mut Memory::new(&mut memory), out, 0, 100, 4, 0, 2, 0, 0, 200);
    assert_eq!(up, Err(Errno::Notcapable));
    assert_eq!(open(&mut world, &mut memory, "./out/../artifacts/./a", 0, 2), Ok(5));
}

#[test]
fn descriptors_are_the_lowest_free_ones_and_bounded() {
    let mut world = world();
    let mut memory = vec![0_u8; 1000];
    for fd in 4..64 {
        assert_eq!(open(&mut world, &mut memory, "artifacts/a", 0, 2), Ok(fd));
    }
    assert_eq!(open(&mut world, &mut memory, "artifacts/a", 0, 2), Err(Errno::Mfile));
    assert_eq!(open(&mut world, &mut memory, "out/new", 1, 64), Err(Errno::Mfile));
    assert_eq!(open(&mut world, &mut memory, "out", 2, 0), Err(Errno::Mfile));
    let mut memory_ = Memory::new(&mut memory);
    assert_eq!(world.fd_close(&mut memory_, 10), Ok(()));
    assert_eq!(world.fd_renumber(&mut memory_, 20, 10), Err(Errno::Badf));
    assert_eq!(world.fd_renumber(&mut memory_, 20, 21), Ok(()));
    assert_eq!(world.fd_close(&mut memory_, 20), Err(Errno::Badf));
    assert_eq!(open(&mut world, &mut memory, "out/new", 1, 64), Ok(10));
}

#[test]
fn what_is_no_socket_is_none_and_links_are_not_made() {
    let mut world = world();
    let mut bytes = vec![0_u8; 100];
    bytes[..5].copy_from_slice(b"out/x");
    let mut memory = Memory::new(&mut bytes);
    assert_eq!(world.sock_accept(&mut memory, 0, 0, 0), Err(Errno::Notsock));
    assert_eq!(world.sock_recv(&mut memory, 9, 0, 0, 0, 0, 0), Err(Errno::Badf));
    assert_eq!(world.sock_send(&mut memory, 3, 0, 0, 0, 0), Err(Errno::Notsock));
    assert_eq!(world.sock_shutdown(&mut memory, 1, 0), Err(Errno::Notsock));
    assert_eq!(world.proc_raise(&mut memory, 9), Err(Errno::Nosys));
    assert_eq!(world.path_symlink(&mut memory, 0, 5, 3, 0, 5), Err(Errno::Notsup));
    assert_eq!(world.path_link(&mut memory, 3, 0, 0, 5, 3, 0, 5), Err(Errno::Notsup));
    assert_eq!(world.clock_time_get(&mut memory, 4, 0, 0), Err(Errno::Inval));
}

#[test]
fn chance_is_the_documented_stream_however_it_is_asked_for() {
    let (mut world_, mut other) = (world(), world());
    let (mut all, mut parts) = (vec![0; 100], vec![0; 100]);
    world_.random_get(&mut Memory::new(&mut all), 0, 100).expect("a hundred");
    for at in 0..10 {
        other.random_get(&mut Memory::new(&mut parts), at * 10, 10).expect("ten");
    }
    assert_eq!(all, parts);
    let first = artel_protocol::id::Digest::of(b"artel-runner random 1\0\0\0\0\0\0\0\0");
    let second = artel_protocol::id::Digest::of(b"artel-runner random 1\x01\0\0\0\0\0\0\0");
    assert_eq!(all[..32], first.0);
    assert_eq!(all[32..64], second.0);
}

/// One call with any numbers. Small ones are likelier to be something.
fn call(world: &mut World, memory: &mut Memory<'_>, which: u8, a: [u32; 6], long: u64) {
    let _ = match which % 40 {
        0 => world.args_get(memory, a[0], a[1]),
        1 => world.args_sizes_get(memory, a[0], a[1]),
        2 => world.clock_res_get(memory, a[0], a[1]),
        3 => world.clock_time_get(memory, a[0], long, a[1]),
        4 => world.environ_sizes_get(memory, a[0], a[1]),
        5 => world.fd_advise(memory, a[0], long, long, a[1]),
        6 => world.fd_allocate(memory, a[0], long, a[1].into()),
        7 => world.fd_close(memory, a[0]),
        8 => world.fd_sync(memory, a[0]),
        9 => world.fd_fdstat_get(memory, a[0], a[1]),
        10 => world.fd_fdstat_set_flags(memory, a[0], a[1]),
        11 => world.fd_filestat_get(memory, a[0], a[1]),
        12 => world.fd_filestat_set_size(memory, a[0], long),
        13 => world.fd_filestat_set_times(memory, a[0], long, long, a[1]),
        14 => world.fd_pread(memory, a[0], a[1], a[2], long, a[3]),
        15 => world.fd_prestat_dir_name(memory, a[0], a[1], a[2]),
        16 => world.fd_prestat_get(memory, a[0], a[1]),
        17 => world.fd_pwrite(memory, a[0], a[1], a[2], long, a[3]),
        18 | 19 => world.fd_read(memory, a[0], a[1], a[2], a[3]),
        20 => world.fd_readdir(memory, a[0], a[1], a[2], long, a[3]),
        21 => world.fd_renumber(memory, a[0], a[1]),
        22 => world.fd_seek(memory, a[0], long as i64, a[1], a[2]),
        23 => world.fd_tell(memory, a[0], a[1]),
        24..=26 => world.fd_write(memory, a[0], a[1], a[2], a[3]),
        27 => world.path_create_directory(memory, a[0], a[1], a[2]),
        28 => world.path_filestat_get(memory, a[0], a[1], a[2], a[3], a[4]),
        29 => world.path_link(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[0]),
        30..=32 => world.path_open(memory, a[0], 0, a[1], a[2], a[3], long, 0, a[4], a[5]),
        33 => world.path_readlink(memory, a[0], a[1], a[2], a[3], a[4], a[5]),
        34 => world.path_remove_directory(memory, a[0], a[1], a[2]),
        35 => world.path_rename(memory, a[0], a[1], a[2], a[3], a[4], a[5]),
        36 => world.path_symlink(memory, a[0], a[1], a[2], a[3], a[4]),
        37 => world.path_unlink_file(memory, a[0], a[1], a[2]),
        38 => world.poll_oneoff(memory, a[0], a[1], a[2], a[3]),
        _ => world.random_get(memory, a[0], a[1]),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_calls_break_the_world_or_its_bounds(
        calls in proptest::collection::vec(
            (any::<u8>(), proptest::array::uniform6(prop_oneof![4 => 0_u32..16, 2 => 0_u32..400, 1 => any::<u32>()]),
                prop_oneof![3 => 0_u64..200, 1 => any::<u64>()]),
            1..200),
        seed in proptest::collection::vec(any::<u8>(), 400),
    ) {
        let mut world = world();
        let mut bytes = seed;
        for (at, text) in [(0, &b"out/a\0\0\0"[..]), (8, &[16, 0, 0, 0, 9, 0, 0, 0]), (16, b"out/b")] {
            bytes[at..at + text.len()].copy_from_slice(text);
        }
        for (which, arguments, long) in calls {
            call(&mut world, &mut Memory::new(&mut bytes), which, arguments, long);
            let (counted, real, files) = world.files.held_bytes();
            prop_assert_eq!(counted, real);
            prop_assert!(real <= 1000 && files <= 5);
            // A vector that grows takes twice what it needs, and at least eight bytes.
            prop_assert!(world.files.memory_bytes() <= 2 * 1000 + 5 * 8);
            prop_assert!(world.stdout.len() <= 100 && world.log.bytes.len() <= 50);
            prop_assert!(world.open.len() <= 64 && world.stdin_at <= world.stdin.len());
        }
        let remains = world.take_remains();
        prop_assert!(remains.artifacts.len() <= 5);
        prop_assert!(remains.artifacts.iter().all(|a| crate::step::is_file_name(&a.name)));
    }
}
