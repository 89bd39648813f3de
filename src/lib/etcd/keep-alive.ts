import type { LeaseClient } from 'etcd3'
import { HostlerError } from '../errors.js'

/** Refreshes a lease once. @returns the seconds that it lasts from now; 0 when there is no such lease */
export async function keepAliveOnce(leases: LeaseClient, id: string, timeoutMs: number): Promise<number> {
  const stream = await leases.leaseKeepAlive({ deadline: Date.now() + timeoutMs })
  try {
    return await new Promise<number>((resolve, reject) => {
      stream.on('data', ({ TTL }) => resolve(Number(TTL)))
      stream.on('error', reject)
      stream.on('end', () => reject(new HostlerError('ETCD', 'it ended without an answer')))
      stream.write({ ID: id })
    })
  } finally {
    // What comes after the answer is of no interest, but an error that nobody hears would end the process.
    stream.on('error', () => undefined)
    stream.end()
  }
}
