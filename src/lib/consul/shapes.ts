import { z } from 'zod'

/** Consul tells an empty list or map as null. */
export const words = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? [])

export const meta = z
  .record(z.string(), z.string())
  .nullish()
  .transform((map) => map ?? {})
