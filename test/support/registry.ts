import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildRootFs } from './rootfs.js'
import { tempDir } from './temp.js'

/** A registry (OCI distribution, reading only) with one image of busybox, `app:r1`, on this machine's loopback address. */
export interface TestRegistry {
  /** `127.0.0.1:PORT`, to which Docker speaks plain HTTP. */
  readonly host: string
  /** Answers for the image's layer are held back from now on. */
  holdLayer(): void
  close(): Promise<void>
}

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const CONFIG = 'application/vnd.docker.container.image.v1+json'
const LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

export async function startRegistry(): Promise<TestRegistry> {
  const { blobs, layer, manifest } = makeImage()
  let held = false
  const server = createServer(({ url = '', method }, response) => {
    const digest = /^\/v2\/app\/(?:blobs|manifests)\/(sha256:[0-9a-f]{64})$/.exec(url)?.[1] ?? ''
    const asManifest = url === '/v2/app/manifests/r1' || digest === digestOf(manifest)
    if (url === '/v2/') return void response.end('{}')
    if (asManifest) return send(response, manifest, MANIFEST, method)
    const blob = blobs.get(digest)
    if (!blob) return void response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    if (held && blob === layer) return
    send(response, blob, 'application/octet-stream', method)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    holdLayer: () => {
      held = true
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function send(response: ServerResponse, body: Buffer, type: string, method: string | undefined): void {
  response.writeHead(200, {
    ...{ 'content-type': type, 'content-length': body.length, 'docker-content-digest': digestOf(body) },
  })
  response.end(method === 'HEAD' ? undefined : body)
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function makeImage() {
  const root = buildRootFs(tempDir())
  // A layer that Docker has had from another registry would not be asked for.
  writeFileSync(join(root, 'registry'), randomUUID())
  const tar = execFileSync('tar', ['-c', '-C', root, '.'], { maxBuffer: 64 << 20 })
  const layer = gzipSync(tar)
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const config = toJson({
    ...{ architecture, os: 'linux', config: { Cmd: ['/bin/serve'] } },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  })
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, size: bytes.length, digest: digestOf(bytes) })
  const manifest = toJson({
    ...{ schemaVersion: 2, mediaType: MANIFEST },
    ...{ config: describe(CONFIG, config), layers: [describe(LAYER, layer)] },
  })
  const blobs = new Map([config, layer].map((bytes) => [digestOf(bytes), bytes]))
  return { blobs, layer, manifest }
}

const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
