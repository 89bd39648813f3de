import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { HostlerError, messageOf } from '../../lib/errors.js'
import type { WorkloadLimits } from '../../runtimes/runtime.js'

const CAPABILITY = z.string().regex(/^[A-Z][A-Z_]{1,40}$/, 'write capabilities without CAP_, in capitals')

const MEMORY_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 }

const memory = z.union([z.number().int().positive(), z.string()]).transform((value, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(String(value).trim())
  const bytes = match ? Math.round(Number(match[1]) * (MEMORY_UNITS[match[2]?.toLowerCase() ?? ''] ?? 1)) : Number.NaN
  // Docker takes no less.
  if (bytes >= 6 << 20) return bytes
  context.addIssue({ code: 'custom', message: 'write an amount of memory of at least 6m: 512m, 2g' })
  return z.NEVER
})

const profileSchema = z
  .strictObject({
    memory: memory.optional(),
    cpus: z.number().positive().max(1024).optional(),
    pids: z.number().int().positive().optional(),
    capAdd: z.array(CAPABILITY).optional(),
    capDrop: z.array(CAPABILITY).optional(),
    readOnly: z.boolean().optional(),
    noNewPrivileges: z.boolean().optional(),
  })
  .transform(({ memory: memoryBytes, ...others }): WorkloadLimits => defined({ ...others, memoryBytes }))

const fileSchema = z.record(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/), profileSchema)

export type Profiles = ReadonlyMap<string, WorkloadLimits>

/**
 * Reads the file of named limits: `small: { memory: 256m, cpus: 0.5, pids: 100, capDrop: [ALL] }`.
 * @throws HostlerError `CONFIG`
 */
export async function readProfiles(path: string): Promise<Profiles> {
  if (path === '') return new Map()
  try {
    const result = fileSchema.safeParse(parse(await readFile(path, 'utf8')) ?? {})
    if (result.success) return new Map(Object.entries(result.data))
    const [issue] = result.error.issues
    throw new Error(`${issue?.path.join('.')}: ${issue?.message}`)
  } catch (error) {
    throw new HostlerError('CONFIG', `deploy.profiles: ${path} cannot be used: ${messageOf(error)}`, { cause: error })
  }
}

const defined = <T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
