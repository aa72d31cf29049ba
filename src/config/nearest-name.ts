import { nearestWord } from "../core/edit-distance.ts";

/** The name of `names` that is closest to `name`, or undefined when none is close enough to be meant. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  return nearestWord(name, names, Math.max(2, Math.floor(name.length / 3)));
}
