import { codeOf, HostlerError, messageOf } from '../errors.js'
import { printable } from '../printable.js'
import type { ConsulAccess } from './address.js'
import { certificateTrouble } from './tls.js'

/**
 * What a failed call means, and what to do about it. Codes: `CONSUL` nobody can be reached, `CONSUL_DENIED` the token may not,
 * `CONSUL_REFUSED` what was written is not acceptable there (it would not be next time either), `CONSUL_ANSWER` anything else.
 */
export function statusError(what: string, status: number, text: string): HostlerError {
  const said = printable(text, 300) || 'nothing'
  if (status === 403) {
    const remedy = /not found/i.test(text) ? 'is CONSUL_HTTP_TOKEN right?' : 'CONSUL_HTTP_TOKEN needs more rights'
    return new HostlerError('CONSUL_DENIED', `${what} is not allowed: "${said}"; ${remedy}`)
  }
  if (status === 401) return new HostlerError('CONSUL_DENIED', `${what} is not allowed: "${said}"`)
  if (/sent an HTTP request to an HTTPS server/i.test(text)) {
    return new HostlerError(
      'CONSUL',
      `${what} failed: the server speaks TLS; write https://, or set CONSUL_HTTP_SSL=true`,
    )
  }
  if (/no cluster leader|no known consul servers|leadership|not enough (?:peers|voters)/i.test(text)) {
    return new HostlerError(
      'CONSUL',
      `${what} failed: Consul has no leader now ("${said}"); are enough of its servers up?`,
    )
  }
  if (status === 400 || status === 413) return new HostlerError('CONSUL_REFUSED', `${what} was refused: "${said}"`)
  const remedy = status >= 500 ? "see Consul's log" : 'is that a Consul?'
  return new HostlerError('CONSUL_ANSWER', `${what} was answered with status ${status}: "${said}"; ${remedy}`)
}

export function connectionError(what: string, cause: unknown, access: ConsulAccess): HostlerError {
  if (cause instanceof HostlerError && cause.code !== 'TIMEOUT') return cause
  const remedy = remedyFor(cause, access)
  return new HostlerError('CONSUL', `${what} failed${remedy === '' ? '; is Consul up there?' : `: ${remedy}`}`, {
    cause,
  })
}

const UNKNOWN_ISSUER = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
])

function remedyFor(cause: unknown, access: ConsulAccess): string {
  const code = codeOf(cause) ?? ''
  const text = messageOf(cause)
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired; renew it there"
  if (code === 'CERT_NOT_YET_VALID') return "the server's certificate is not valid yet; do both clocks agree?"
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return "the server's certificate is for other names; set CONSUL_TLS_SERVER_NAME to one of them, or the address to it"
  }
  if (UNKNOWN_ISSUER.has(code))
    return "the server's certificate is not signed by a CA that is known here; set CONSUL_CACERT"
  if (/wrong version number|packet length too long|http request/i.test(text)) {
    return 'the server does not speak TLS; write http://, or unset CONSUL_HTTP_SSL'
  }
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return 'the answer is larger than is bearable'
  return clientCertificateTrouble(code, text, access)
}

/** A server that refuses a certificate of ours breaks off, and often says no more than that. */
function clientCertificateTrouble(code: string, text: string, access: ConsulAccess): string {
  const isAlert = /alert|EPROTO|SSL/i.test(`${code} ${text}`)
  if (!isAlert && !/ECONNRESET|UND_ERR_SOCKET/.test(code)) return ''
  const trouble = certificateTrouble(access, Date.now())
  if (trouble !== undefined) return trouble
  if (access.cert === '' && (isAlert || speaksTls(access))) {
    return `the server ${isAlert ? 'asks for' : 'broke off; perhaps it asks for'} a certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY`
  }
  return isAlert ? 'the server does not take our certificate (CONSUL_CLIENT_CERT); is it signed by its CA?' : ''
}

const speaksTls = ({ url, ssl }: ConsulAccess): boolean =>
  url.startsWith('https:') || (ssl && !/^[a-z+.-]+:\/\//.test(url))
