/**
 * Name of a model as clients see it. Servers of local files may use the path of the file as the model's name; then it
 * is the file's name without its ending.
 */
export function modelLabel(model: string): string {
  const isPath =
    /^(\/|~|\.{1,2}[\\/]|[A-Za-z]:[\\/]|\\)/.test(model) || /\.(gguf|bin|safetensors)$/i.test(model);
  if (!isPath) return model;
  const name =
    model
      .replace(/[\\/]+$/, "")
      .split(/[\\/]/)
      .at(-1) ?? "";
  return name.replace(/\.(gguf|bin|safetensors)$/i, "") || "model";
}
