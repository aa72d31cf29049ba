import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../fixtures/frames/", import.meta.url));

/** The lines of a file of test/fixtures/frames, without blank ones and comments. */
function lines(name: string): string[] {
  return readFileSync(`${folder}${name}.txt`, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"));
}

/** Frames that the decoder takes. */
export const acceptedFrames = (): string[] => lines("accepted");

/** Frames that the decoder refuses with a message. */
export const refusedFrames = (): string[] => lines("refused");

/** Pieces of a client's side of the line, framing included; some well-formed, some not. */
export const wirePieces = (): Buffer[] =>
  lines("wire").map((line) => Buffer.from(line.replaceAll(/\s/g, ""), "hex"));
