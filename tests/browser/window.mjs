// One person's browser: its pages are watched for errors, refused policies and scripts of others.

import puppeteer from "puppeteer-core";
import { until } from "./stage.mjs";

/** Starts chromium. `evil.test` is this machine under a name that is not the node's. */
export const launch = (executablePath) => {
  const args = ["--disable-gpu", "--host-resolver-rules=MAP evil.test 127.0.0.1", "--force-color-profile=srgb"];
  // As root chromium has no sandbox of its own.
  if (process.getuid() === 0) args.push("--no-sandbox");
  return puppeteer.launch({ executablePath, args, headless: true });
};

export class Window {
  /** Opens a window with its own cookies. */
  static async open(browser, url) {
    const window = new Window();
    window.context = await browser.createBrowserContext();
    window.url = url;
    window.wrong = [];
    await window.tab();
    return window;
  }

  async tab() {
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(30_000);
    const wrong = (kind, text) => this.wrong.push(`${kind} at ${this.page.url()}: ${text}`);
    this.page.on("console", (message) => ["error", "warn"].includes(message.type()) && wrong("console", message.text()));
    this.page.on("pageerror", (error) => wrong("script", error.message));
    this.page.on("dialog", (dialog) => dialog.type() === "confirm" ? dialog.accept() : (wrong("dialog", dialog.message()), dialog.dismiss()));
    await this.page.exposeFunction("policyRefused", (text) => wrong("policy", text));
    await this.page.evaluateOnNewDocument(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.policyRefused(`${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    await this.page.setViewport({ width: 1280, height: 900 });
    // Every person looks at their own page, whatever others have in front.
    await (await this.page.createCDPSession()).send("Emulation.setFocusEmulationEnabled", { enabled: true });
  }

  /** Says what was wrong since the last time, but for what is expected. */
  complaints(...expected) {
    const all = this.wrong.filter((text) => !expected.some((part) => text.includes(part)));
    this.wrong = [];
    return all;
  }

  go(path) {
    return this.page.goto(this.url + path, { waitUntil: "load" });
  }

  find(testid) {
    return this.page.waitForSelector(`[data-testid="${testid}"]`, { visible: true });
  }

  async text(testid) {
    const element = await this.find(testid);
    return element.evaluate((node) => node.textContent.trim());
  }

  /** Presses what leads to another page. */
  async follow(testid) {
    const element = await this.find(testid);
    await Promise.all([this.page.waitForNavigation({ waitUntil: "load" }), element.click()]);
  }

  async press(testid) {
    await (await this.find(testid)).click();
  }

  async type(testid, text) {
    const field = await this.find(testid);
    await field.click({ count: 3 });
    await field.type(text);
  }

  async signIn(token) {
    await this.go("/ui/sign-in");
    await this.type("token", token);
    await this.follow("sign-in");
  }

  /** Waits until an element says what is wanted. */
  says(testid, wanted, ms) {
    const look = () => this.page.evaluate((id) => document.querySelector(`[data-testid="${id}"]`)?.textContent.trim(), testid)
      // A page that leads elsewhere at this very moment says nothing yet.
      .catch(() => "");
    return until(`${testid} says ${wanted}`, async () => wanted.test((await look()) ?? ""), ms);
  }

  /** Marks the page, so that it is known later whether it was loaded anew. */
  mark() {
    return this.page.evaluate(() => { window.sameAsBefore = true; });
  }

  isSame() {
    return this.page.evaluate(() => window.sameAsBefore === true);
  }

  isHurt() {
    return this.page.evaluate(() => window.hurt !== undefined);
  }
}
