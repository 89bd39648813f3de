import { z } from 'zod'

/** What the table in docs/settings.md and `hostler config` say of a setting. */
export interface SettingMeta {
  /** Environment variables that set it, the preferred one first. */
  readonly env: readonly string[]
  readonly description: string
  /** Never printed. */
  readonly secret?: boolean
}

/** A leaf of the schema: how to read it, its default as a user would write it, and its documentation. */
export function setting<T extends z.ZodType>(
  kind: T,
  fallback: z.input<T>,
  env: string,
  description: string,
  secret = false,
) {
  const meta: SettingMeta = { env: env.split(' '), description, secret }
  return kind.prefault(fallback as never).meta({ setting: meta })
}

export const group = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never)
