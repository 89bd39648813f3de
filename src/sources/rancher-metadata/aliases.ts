import { z } from 'zod'
import { HostlerError } from '../../lib/errors.js'
import type { Instance } from '../../model/instance.js'

/** Where the operator keeps them: a map from stack to its further names, in the metadata of the proxy's own service. */
export const ALIASES_PATH = 'self/service/metadata/aliases'

const alias = z.union([z.string(), z.number().transform(String)])

const aliasesSchema = z.record(z.string(), z.union([z.array(alias), alias.transform((one) => [one])]).nullable())

/** Aliases by stack in lower case, because the newest version gives stacks' names so. */
export type Aliases = ReadonlyMap<string, readonly string[]>

/** Undefined (404) and null mean none; throws a HostlerError for anything else that is not such a map. */
export function readAliases(answer: unknown): Aliases {
  if (answer === undefined || answer === null || answer === '') return new Map()
  const { success, data, error } = aliasesSchema.safeParse(answer)
  if (!success) {
    const where = error.issues[0]?.path.join('.') || 'the answer'
    const expected = 'write a map from stack to a list of names'
    throw new HostlerError('metadata-aliases', `${ALIASES_PATH} is not as expected at ${where}; ${expected}`)
  }
  return new Map(Object.entries(data).map(([stack, names]) => [stack.toLowerCase(), names ?? []]))
}

/** The instance with its stack's aliases added to those of its own label. */
export function withAliases(instance: Instance, aliases: Aliases, label: string): Instance {
  const added = aliases.get(instance.stack?.toLowerCase() ?? '') ?? []
  if (added.length === 0) return instance
  const own = instance.labels[label]
  const names = new Set(own === undefined || own.trim() === '' ? added : [own, ...added])
  return { ...instance, labels: { ...instance.labels, [label]: [...names].join(',') } }
}
