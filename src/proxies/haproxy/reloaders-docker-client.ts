import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import type { Settings } from '../../config/schema.js'
import { HostlerError } from '../../lib/errors.js'

/** A client for the first of the Docker endpoints in the settings: the HAProxy container is to be found there. */
export function dockerClient({ hosts, tlsVerify, certPath }: Settings['docker']): Dockerode {
  const endpoint = hosts[0] ?? 'unix:///var/run/docker.sock'
  const socketPath = /^(?:unix:\/\/)?(\/.+)$/.exec(endpoint)?.[1]
  if (socketPath !== undefined) return new Dockerode({ socketPath })
  const match = /^(tcp|https?):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d+))?\/?$/.exec(endpoint)
  const host = match?.[2]?.replace(/^\[|\]$/g, '')
  if (match === null || host === undefined) throw notAnEndpoint()
  const secure = tlsVerify || certPath !== '' || match[1] === 'https'
  const port = Number(match[3] ?? (secure ? 2376 : 2375))
  return new Dockerode({ host, port, protocol: secure ? 'https' : 'http', ...(certPath !== '' && tlsFiles(certPath)) })
}

function tlsFiles(folder: string): { ca: Buffer; cert: Buffer; key: Buffer } {
  const read = (name: string) => {
    try {
      return readFileSync(join(folder, name))
    } catch (cause) {
      throw new HostlerError('CONFIG', `docker.certPath: ${join(folder, name)} cannot be read; see that it is there`, {
        cause,
      })
    }
  }
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') }
}

const notAnEndpoint = () =>
  new HostlerError('CONFIG', 'the first of docker.hosts is no endpoint; write unix://PATH or tcp://HOST:PORT')
