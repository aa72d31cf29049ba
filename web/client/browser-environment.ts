import type { ClientEnvironment, ClientSocket, SocketHandlers } from "./client-events.ts";

/** A value that belongs to one tab. It survives a reload and is deleted when the tab is closed. */
export interface TabValue {
  load(): string | null;
  save(value: string | null): void;
}

/** Opens a value in the tab's storage. Falls back to memory if the browser refuses storage. */
export function tabValue(key: string): TabValue {
  let memory: string | null = null;
  return {
    load() {
      try {
        return sessionStorage.getItem(key) ?? memory;
      } catch {
        return memory;
      }
    },
    save(value) {
      memory = value;
      try {
        if (value === null) sessionStorage.removeItem(key);
        else sessionStorage.setItem(key, value);
      } catch {
        // Storage is full or forbidden. The value in memory lasts until the page is closed.
      }
    },
  };
}

/** Returns 128 random bits in hexadecimal. `crypto.randomUUID` does not exist without a secure context. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Environment of a chat client in a real page. */
export function browserEnvironment(session: TabValue): ClientEnvironment {
  return {
    openSocket,
    now: () => performance.now(),
    after(ms, callback) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    newId: randomId,
    session,
  };
}

function openSocket(url: string, protocols: readonly string[], handlers: SocketHandlers): ClientSocket {
  const socket = new WebSocket(url, [...protocols]);
  const listening = new AbortController();
  const { signal } = listening;
  socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => handlers.message(String(data)), {
    signal,
  });
  socket.addEventListener("close", ({ code, reason }) => handlers.close(code, reason), { signal });
  return {
    send(text) {
      // A closing socket cannot send. Pending messages are sent on the next socket.
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close() {
      listening.abort();
      socket.close(1000);
    },
  };
}
