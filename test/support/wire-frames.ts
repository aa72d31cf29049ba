/** Opcodes of RFC 6455. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Deviations of a frame from what a correct client sends. */
export interface FrameShape {
  /** Whether it is the last frame of its message; default true. */
  readonly fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  readonly reserved?: number;
  /** Four bytes; null leaves the frame unmasked, which clients must not do. */
  readonly mask?: Buffer | null;
  /** Key that masks the payload, if different from the one in the header; four bytes. */
  readonly maskedWith?: Buffer;
  /** Payload length in the header, regardless of the payload; up to 2^64 - 1. */
  readonly declaredLength?: bigint;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const MASK_BIT = 0x80;

/** The bytes of one client frame with the deviations of `shape`. */
export function wireFrame(opcode: number, payload: Buffer | string = "", shape: FrameShape = {}): Buffer {
  const { fin = true, reserved = 0, mask = MASK, maskedWith = mask } = shape;
  const body = Buffer.from(payload);
  const head = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode]);
  const length = lengthBytes(shape.declaredLength ?? BigInt(body.length));
  if (mask !== null) length[0] = (length[0] as number) | MASK_BIT;
  if (maskedWith !== null) {
    for (let index = 0; index < body.length; index++) {
      body[index] = (body[index] as number) ^ (maskedWith[index % 4] as number);
    }
  }
  return Buffer.concat([head, length, mask ?? Buffer.alloc(0), body]);
}

function lengthBytes(length: bigint): Buffer {
  if (length < 126n) return Buffer.from([Number(length)]);
  if (length < 65_536n) {
    const bytes = Buffer.from([126, 0, 0]);
    bytes.writeUInt16BE(Number(length), 1);
    return bytes;
  }
  const bytes = Buffer.alloc(9);
  bytes[0] = 127;
  bytes.writeBigUInt64BE(length, 1);
  return bytes;
}

/** The bytes of a close frame; without a code its payload is empty. */
export function closeFrame(code?: number, reason: Buffer | string = ""): Buffer {
  if (code === undefined) return wireFrame(opcodes.close);
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return wireFrame(opcodes.close, Buffer.concat([head, Buffer.from(reason)]));
}

/** A received frame. */
export interface ServerWireFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

const strictText = new TextDecoder("utf-8", { fatal: true });

/**
 * Parses the frames of a server strictly: a mask, a reserved bit, an unknown opcode, a fragment, an oversized control
 * frame or text that is not UTF-8 throws an error.
 */
export class ServerFrameParser {
  #bytes: Buffer = Buffer.alloc(0);

  /** Adds bytes and yields the frames that are complete. */
  *push(chunk: Buffer): Generator<ServerWireFrame> {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const frame = this.#take();
      if (frame === undefined) return;
      yield frame;
    }
  }

  /** Number of bytes of an incomplete frame. */
  get rest(): number {
    return this.#bytes.length;
  }

  #take(): ServerWireFrame | undefined {
    const bytes = this.#bytes;
    const [first, second] = bytes;
    if (first === undefined || second === undefined) return undefined;
    const opcode = first & 0x0f;
    const known = (Object.values(opcodes) as number[]).includes(opcode);
    if ((first & 0xf0) !== 0x80 || (second & MASK_BIT) !== 0 || !known || opcode === opcodes.continuation) {
      throw new Error(`the server broke the framing: ${first.toString(16)} ${second.toString(16)}`);
    }
    let at = 2;
    let length = second;
    if (second === 126) {
      if (bytes.length < 4) return undefined;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (second === 127) {
      if (bytes.length < 10) return undefined;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    if (opcode >= opcodes.close && length > 125) throw new Error("a control frame of the server is too long");
    if (bytes.length < at + length) return undefined;
    const payload = bytes.subarray(at, at + length);
    this.#bytes = bytes.subarray(at + length);
    if (opcode === opcodes.text) strictText.decode(payload);
    return { opcode, payload };
  }
}
