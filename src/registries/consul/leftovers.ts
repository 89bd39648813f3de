import { z } from 'zod'
import type { ConsulClient } from '../../lib/consul/client.js'
import { createLimit } from '../../lib/limit.js'

const namesSchema = z.record(z.string(), z.array(z.string()).nullable())
const entriesSchema = z.array(z.object({ Address: z.string(), ServiceTags: z.array(z.string()).nullable() }))

/** Addresses of the nodes on which a service carries one of these tags; nothing, where the answer is not as known. */
export async function nodesWithTags(
  client: ConsulClient,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const carries = (found: readonly string[] | null) => tags.some((tag) => found?.includes(tag))
  const limited = createLimit(READS_AT_ONCE)
  const services = namesSchema.safeParse((await client.get('/catalog/services', signal)).value)
  const names = Object.entries(services.data ?? {}).filter(([, found]) => carries(found))
  const nodes = await Promise.all(
    names.map(([name]) =>
      limited(async () => {
        const { value } = await client.get(`/catalog/service/${encodeURIComponent(name)}`, signal)
        const entries = entriesSchema.safeParse(value).data ?? []
        return entries.filter(({ ServiceTags }) => carries(ServiceTags)).map(({ Address }) => Address)
      }),
    ),
  )
  return [...new Set(nodes.flat())].sort()
}

const READS_AT_ONCE = 8
