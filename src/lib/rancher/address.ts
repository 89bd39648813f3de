import { HostlerError } from '../errors.js'

/** Where Rancher's API is, who asks, and how much of it is bearable. */
export interface RancherAddress {
  /** `http://HOST[:PORT]`, with `/v2-beta` (the default) or `/v1`, and with `/projects/ID` for that one alone. */
  readonly url: string
  readonly accessKey: string
  readonly secretKey: string
  /** Name or id of the one project (environment) that counts; empty: every one that the key sees. */
  readonly project: string
  /** How long one answer may take. Default 10,000. */
  readonly timeoutMs?: number
  /** How large one answer may be. Default 64 MiB. */
  readonly maxBytes?: number
}

/** An address taken apart. */
export interface RancherBase {
  /** `http://HOST:PORT/v2-beta`. */
  readonly url: string
  /** In `v1` a stack is called environment. */
  readonly dialect: 'v1' | 'v2'
  /** The project that the URL names. */
  readonly projectId?: string
}

/** @throws HostlerError `CONFIG` when the URL cannot be Rancher's */
export function baseOf({ url: text }: Pick<RancherAddress, 'url'>): RancherBase {
  if (text === '') throw wrong('is empty')
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) throw wrong(`is not a URL: ${JSON.stringify(text)}`)
  if (url.username !== '' || url.password !== '') {
    throw wrong('holds user and password', KEYS_APART)
  }
  const match = PATH.exec(url.pathname)
  if (!match || url.search !== '' || url.hash !== '') throw wrong(`has a path that is not Rancher's: ${url.pathname}`)
  const [, before = '', version = 'v2-beta', projectId] = match
  return {
    url: `${url.origin}${before}/${version}`,
    dialect: version === 'v1' ? 'v1' : 'v2',
    ...(projectId !== undefined && { projectId }),
  }
}

/** Also behind a proxy that serves it below a path of its own; `schemas` is what Rancher's own tools append. */
const PATH = /^((?:\/(?!v\d)[\w.~-]+)*)(?:\/(v1|v2|v2-beta))?(?:\/(?:projects\/([\w-]{1,64})))?(?:\/schemas)?\/*$/

const wrong = (problem: string, remedy = 'set RANCHER_URL to http://HOST:8080/v2-beta'): HostlerError =>
  new HostlerError('CONFIG', `rancher.url ${problem}; ${remedy}`)

const KEYS_APART = 'leave them out, and set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY'

/** Fit to be part of a URL's path. */
export const isRancherId = (text: string): boolean => /^[A-Za-z0-9_-]{1,64}$/.test(text)
