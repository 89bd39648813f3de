import type { z } from 'zod'
import { printable } from '../lib/printable.js'

/** A request that cannot be understood; fastify's own errors carry the same field. */
class BadRequest extends Error {
  readonly statusCode = 400
}

/** @throws an error with status 400 that names each field that is wrong */
export function read<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body ?? {})
  if (result.success) return result.data
  const lines = result.error.issues.slice(0, 10).map(({ path, message }) => {
    const field = path.map(String).join('.')
    return printable(field === '' ? message : `${field}: ${message}`, 300)
  })
  throw new BadRequest(lines.join('; '))
}
