/** Parameters of one run. */
export interface RunParameters {
  readonly ms: number;
  /** Number of frames and bytes that a control server has to send, over all sockets. */
  readonly frames?: number;
  readonly bytes?: number;
}

/** What a run received, over all sockets. */
export interface Counted {
  readonly replies: number;
  readonly frames: number;
  /** Bytes of the frames' payloads; 0 where they are not counted. */
  readonly bytes: number;
}

/** A load client. It runs in a separate process. */
export interface LoadClient {
  /** Opens all sockets that {@link run} needs. */
  open(): Promise<void>;
  /** Sends requests for `ms` milliseconds and waits for every reply. Each reply is checked. */
  run(parameters: RunParameters): Promise<Counted>;
}
