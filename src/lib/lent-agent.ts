import { Agent } from 'undici'

export interface AgentLimits {
  /** For connecting; an answer as a whole is bounded by whoever asks. Default 10,000. */
  readonly timeoutMs?: number
  /** How large one answer may be. Default 64 MiB. */
  readonly maxBytes?: number
}

/** Lends connections of its own, and leaves none of them open. Long polls are welcome: no part of an answer is hurried. */
export async function withAgent<T>(
  { timeoutMs = 10_000, maxBytes = 64 << 20 }: AgentLimits,
  use: (agent: Agent, timeoutMs: number) => Promise<T>,
): Promise<T> {
  const agent = new Agent({
    connect: { timeout: timeoutMs },
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: maxBytes,
  })
  try {
    return await use(agent, timeoutMs)
  } finally {
    await agent.destroy()
  }
}
