import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../fixtures/frames/", import.meta.url));

/** The lines of a file in test/fixtures/frames, without blank lines and comments. */
function lines(name: string): string[] {
  return readFileSync(`${folder}${name}.txt`, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"));
}

/** Frames that the decoder accepts. */
export const acceptedFrames = (): string[] => lines("accepted");

/** Frames that the decoder refuses with an error message. */
export const refusedFrames = (): string[] => lines("refused");

/** Byte sequences that a client might send, including framing; some are well-formed, some are not. */
export const wirePieces = (): Buffer[] =>
  lines("wire").map((line) => Buffer.from(line.replaceAll(/\s/g, ""), "hex"));
