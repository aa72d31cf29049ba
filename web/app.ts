import { browserEnvironment, randomId, tabValue } from "./client/browser-environment.ts";
import { ChatClient } from "./client/chat-client.ts";
import type { Endpoint } from "./client/connection.ts";
import { probeEndpoint } from "./client/probe-endpoint.ts";
import { ConnectionPanel } from "./view/connection-panel.ts";
import { ContextPanel } from "./view/context-panel.ts";
import { Conversation } from "./view/conversation.ts";
import { find } from "./view/dom.ts";
import { describeTokenRefusal, readToken } from "./view/status-text.ts";

const session = tabValue("chat.session");
const token = tabValue("chat.token");

/** The chat endpoint for a token. It is relative to the page, so a reverse proxy can serve both under any path. */
function endpointFor(bearer: string | null): Endpoint {
  const url = new URL(bearer === null ? "ws/chat" : "ws/chat/auth", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return bearer === null ? { url: url.href } : { url: url.href, token: bearer };
}

const environment = browserEnvironment(session);
const client = new ChatClient(endpointFor(token.load()), environment);

const conversation = new Conversation(client, {
  saved: tabValue("chat.transcript"),
  newId: randomId,
  isAnonymous: () => token.load() === null,
});

/** Drops everything that belongs to the previous identity. */
function changeIdentity(): void {
  client.disconnect();
  client.withdrawAll();
  session.save(null);
  conversation.begin();
}

const connection = new ConnectionPanel(client, {
  token: () => token.load(),
  async useToken(next) {
    // Nothing is dropped before the server has accepted the new token.
    const probe = await probeEndpoint(endpointFor(next), environment);
    if (!probe.accepted) return describeTokenRefusal(probe.code, probe.reason);
    const before = token.load();
    const same = before !== null && readToken(before)?.subject === readToken(next)?.subject;
    if (!same) changeIdentity();
    token.save(next);
    const { url } = endpointFor(next);
    if (same) client.renew({ url, token: next });
    else client.use({ url, token: next });
    return undefined;
  },
  forgetToken() {
    changeIdentity();
    token.save(null);
    client.use(endpointFor(null));
  },
});

new ContextPanel(client);

client.subscribe((event) => {
  if (event.type === "state" || event.type === "welcome") connection.show();
});

find("new-conversation", HTMLButtonElement).addEventListener("click", () => conversation.begin());
for (const dialog of document.querySelectorAll("dialog")) {
  // A click on the backdrop has the dialog element itself as its target.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
}

/** Skips the rest of a reconnect delay. After a refusal the user has to act first. */
function retryNow(): void {
  if (client.state.phase === "waiting") client.connect();
}
window.addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") retryNow();
});

client.connect();
