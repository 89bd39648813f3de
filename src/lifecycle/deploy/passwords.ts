import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/**
 * Password hashes as they stand in the users file. Ours: `scrypt$N$r$p$SALT$HASH` (base64url). Predecessor 2's: the SHA-256
 * of the password in hex, without salt, which a graphics card tries by the billion.
 */
export type PasswordHash =
  | { readonly kind: 'scrypt'; readonly cost: Cost; readonly salt: Buffer; readonly hash: Buffer }
  | { readonly kind: 'sha256'; readonly hash: Buffer }

interface Cost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** 32 MB and some 80 ms on the machines of 2026. */
const COST: Cost = { N: 2 ** 15, r: 8, p: 1 }
const MAX_MEMORY = 256 << 20

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt)

/** What a line of the users file holds after the comma. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt, 32, { ...COST, maxmem: MAX_MEMORY })
  return `scrypt$${COST.N}$${COST.r}$${COST.p}$${salt.toString('base64url')}$${hash.toString('base64url')}`
}

/** Undefined: it is neither. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return { kind: 'sha256', hash: Buffer.from(text, 'hex') }
  const match = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,88})\$([\w-]{22,88})$/.exec(text)
  if (!match) return undefined
  const [N = 0, r = 0, p = 0] = match.slice(1, 4).map(Number)
  const fits = N >= 2 && (N & (N - 1)) === 0 && r >= 1 && p >= 1 && 128 * N * r < MAX_MEMORY
  const [salt, hash] = match.slice(4).map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer]
  return fits ? { kind: 'scrypt', cost: { N, r, p }, salt, hash } : undefined
}

export async function verifyPassword(password: string, known: PasswordHash): Promise<boolean> {
  const found =
    known.kind === 'sha256'
      ? createHash('sha256').update(password).digest()
      : await derive(password, known.salt, known.hash.length, { ...known.cost, maxmem: MAX_MEMORY })
  return found.length === known.hash.length && timingSafeEqual(found, known.hash)
}
