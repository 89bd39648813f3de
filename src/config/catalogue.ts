import type { z } from 'zod'
import { settingsSchema } from './schema.js'
import type { SettingMeta } from './setting.js'

/** One setting as documentation and loading see it. */
export interface SettingEntry extends SettingMeta {
  /** Dotted key in `hostler.yml`. */
  readonly key: string
  /** The default, as a user would write it. */
  readonly fallback: string
  /** `duration`: the value in force is in milliseconds. */
  readonly kind?: 'duration'
}

/** Every setting of the schema, in the schema's order. */
export const catalogue: readonly SettingEntry[] = [...leaves(settingsSchema.shape, '')]

function* leaves(shape: Readonly<Record<string, z.core.$ZodType>>, prefix: string): Generator<SettingEntry> {
  for (const [name, schema] of Object.entries(shape)) {
    const key = `${prefix}${name}`
    const meta = (schema as z.ZodType).meta()?.['setting'] as SettingMeta | undefined
    if (meta) {
      yield { ...meta, key, fallback: fallbackOf(schema), ...kindOf(schema) }
    } else {
      const inner = unwrap(schema) as z.ZodObject
      yield* leaves(inner.shape, `${key}.`)
    }
  }
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return 'innerType' in schema._zod.def ? unwrap((schema._zod.def as { innerType: z.core.$ZodType }).innerType) : schema
}

function fallbackOf(schema: z.core.$ZodType): string {
  const def = schema._zod.def as { defaultValue?: unknown }
  return String(def.defaultValue ?? '')
}

function kindOf(schema: z.core.$ZodType): Pick<SettingEntry, 'kind'> {
  return (unwrap(schema) as z.ZodType).meta()?.['kind'] === 'duration' ? { kind: 'duration' } : {}
}
