import { describe, expect, it } from "vitest";
import { formatBytes, streamProgress } from "../../../src/engine-host/model-progress.ts";

function output(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 60, write: (text: string) => written.push(text) };
}

describe("progress on a plain stream", () => {
  it("prints a line every ten per cent", () => {
    const stream = output(false);
    const progress = streamProgress(stream);
    for (let done = 0; done <= 1000; done++) progress.update("model", done * 1e6, 1e9);
    expect(stream.written).toHaveLength(11);
    expect(stream.written[0]).toBe("model: 0 % of 1.0 GB\n");
    expect(stream.written.at(-1)).toBe("model: 100 % of 1.0 GB\n");
    expect(stream.written.join("")).not.toContain("\r");
  });

  it("starts again with the next fetch", () => {
    const stream = output(false);
    const progress = streamProgress(stream);
    progress.update("one", 5, 10);
    progress.end();
    progress.update("two", 0, 10);
    expect(stream.written).toEqual(["one: 50 % of 1 kB\n", "two: 0 % of 1 kB\n"]);
  });
});

describe("progress on a terminal", () => {
  it("draws a bar no wider than the terminal, at most ten times a second", () => {
    const stream = output(true);
    let now = 0;
    const progress = streamProgress(stream, () => now);
    for (; now < 1000; now++) progress.update("tinyllama.gguf", now, 1000);
    const drawn = stream.written.filter((text) => text.includes("█") || text.includes("░"));
    expect(drawn.length).toBeLessThanOrEqual(11);
    expect(drawn.length).toBeGreaterThan(5);
    for (const text of drawn) expect(text.length).toBeLessThan(60);
  });

  it("shows the speed and the time left without counting resumed bytes", () => {
    const stream = { ...output(true), columns: 200 };
    let now = 0;
    const progress = streamProgress(stream, () => now);
    progress.update("m", 500e6, 1000e6);
    now = 1000;
    progress.update("m", 510e6, 1000e6);
    expect(stream.written.at(-1)).toContain("10 MB/s, 49 s left");
  });

  it("prints a line above the bar and ends with a new line", () => {
    const stream = output(true);
    const progress = streamProgress(stream, () => 0);
    progress.update("m", 1, 2);
    progress.print("hello");
    expect(stream.written.at(-1)).toMatch(/^hello\nm █/);
    progress.end();
    expect(stream.written.at(-1)).toBe("\n");
  });
});

describe("formatBytes", () => {
  it.each([
    [1, "1 kB"],
    [98_362_432, "98 MB"],
    [668_788_096, "669 MB"],
    [1_300_000_000, "1.3 GB"],
  ])("formats %i as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});
