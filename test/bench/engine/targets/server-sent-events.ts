/** Splits a stream of server-sent events into the values of their `data` lines. Chunks must hold whole characters. */
export class ServerSentEvents {
  #rest = "";

  push(chunk: string): string[] {
    const lines = (this.#rest + chunk).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    return lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
  }
}
