import type { EngineRequest } from "../../src/engine-wire/requests.ts";
import type { LoadedModel } from "../../src/engine/model/load-model.ts";
import { whole } from "../../src/engine/model/text-tokenizer.ts";
import type { PreparedRequest } from "../../src/engine/ports.ts";

/** Prepares a request for the model at once. */
export async function prepared({ prompts }: LoadedModel, request: EngineRequest): Promise<PreparedRequest> {
  return prompts.withGrammar(whole(prompts.prepare(request)), request);
}
