const HEADER_BYTES = 8

/**
 * The text of a container's log without a terminal: frames of one byte for the stream, three unused, four for the length,
 * then that many bytes. What does not have that shape (a terminal's log after all) is taken as it stands.
 */
export function demultiplex(reply: Buffer): string {
  const parts: Buffer[] = []
  let offset = 0
  while (offset + HEADER_BYTES <= reply.length) {
    const length = reply.readUInt32BE(offset + 4)
    const isFrame = (reply[offset] ?? 255) <= 2 && reply.readUIntBE(offset + 1, 3) === 0
    if (!isFrame) return reply.toString('utf8')
    parts.push(reply.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + length))
    offset += HEADER_BYTES + length
  }
  return Buffer.concat(parts).toString('utf8')
}
