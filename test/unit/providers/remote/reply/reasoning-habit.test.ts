import { describe, expect, it } from "vitest";
import { ReasoningHabit } from "../../../../../src/providers/remote/reply/reasoning-habit.ts";

describe("models whose template opens the reasoning", () => {
  it.each([
    ["deepseek-ai/DeepSeek-R1", "<think>"],
    ["deepseek-r1:14b", "<think>"],
    ["Qwen/QwQ-32B", "<think>"],
    ["Qwen/Qwen3-30B-A3B-Thinking-2507", "<think>"],
    ["moonshotai/Kimi-K2-Thinking", "<think>"],
    ["LGAI-EXAONE/EXAONE-Deep-7.8B", "<thought>"],
    ["gpt-4", ""],
    ["deepseek-chat", ""],
    ["Qwen/Qwen3-8B", ""],
    ["mistralai/Magistral-Small", ""],
  ])("%s: %j", (model, opening) => {
    expect(new ReasoningHabit(model).opening).toBe(opening);
  });
});
