// Hostler as an agent: no proxy, it only announces.
import { prepare, start } from './hostler.mjs'

/** @returns the process, when it has said everything that there is to say at first: with `entries` of them */
export async function startAgent(cleanup, folder, { env, entries = 0 }) {
  const prepared = await prepare(folder, { HOSTLER_PROXY: 'none', ...env })
  const agent = start(cleanup, 'run', prepared)
  if (entries > 0) await announced(agent, entries, { since: 0 })
  return agent
}

/** The line with which an agent says that so many entries are in the registry now. */
export const announced = (agent, entries, options = {}) =>
  agent.line((line) => line.msg === 'announced' && line.entries >= entries, { timeoutMs: 120_000, ...options })
