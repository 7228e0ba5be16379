/**
 * A name server for tests: a process inside a network namespace that answers A, AAAA and SRV questions over UDP from
 * what the test last told it. Source: RFC 1035, section 4; RFC 3596; RFC 2782.
 *
 * State: the zone. Run as a program: `name-server.ts ADDRESS`; each message over IPC is a new zone.
 */
import { createSocket } from 'node:dgram'

/** By name in lower case, without the dot at its end. */
export interface Zone {
  a?: Record<string, string[]>
  aaaa?: Record<string, string[]>
  srv?: Record<string, { priority: number; port: number; host: string }[]>
}

const TYPES = { a: 1, aaaa: 28, srv: 33 } as const
const HEADER_BYTES = 12
const NO_SUCH_NAME = 3

const readName = (message: Buffer, start: number): { name: string; end: number } => {
  const labels: string[] = []
  let at = start
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

const writeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ])

const groups = (ip: string): number[] => {
  const [before = '', after] = ip.split('::')
  const head = before.split(':').filter((group) => group !== '')
  const tail = (after ?? '').split(':').filter((group) => group !== '')
  const zeros = new Array(after === undefined ? 0 : 8 - head.length - tail.length).fill('0')
  return [...head, ...zeros, ...tail].flatMap((group) => [
    Number.parseInt(group, 16) >> 8,
    Number.parseInt(group, 16) & 255,
  ])
}

const dataOf = (zone: Zone, type: number, name: string): Buffer[] => {
  if (type === TYPES.a) return (zone.a?.[name] ?? []).map((ip) => Buffer.from(ip.split('.').map(Number)))
  if (type === TYPES.aaaa) return (zone.aaaa?.[name] ?? []).map((ip) => Buffer.from(groups(ip)))
  if (type !== TYPES.srv) return []
  return (zone.srv?.[name] ?? []).map(({ priority, port, host }) =>
    Buffer.concat([Buffer.from([priority >> 8, priority & 255, 0, 0, port >> 8, port & 255]), writeName(host)]),
  )
}

const answer = (question: Buffer, zone: Zone): Buffer => {
  const { name, end } = readName(question, HEADER_BYTES)
  const type = question.readUInt16BE(end)
  const data = dataOf(zone, type, name)
  const known = [zone.a, zone.aaaa, zone.srv].some((records) => records?.[name] !== undefined)
  const header = Buffer.from(question.subarray(0, HEADER_BYTES))
  // A response, authoritative, recursion as it was asked for.
  header.writeUInt16BE(0x8400 | (question.readUInt16BE(2) & 0x0100) | (known ? 0 : NO_SUCH_NAME), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(data.length, 6)
  header.fill(0, 8)
  const records = data.map((bytes) => {
    const record = Buffer.alloc(12)
    // The name is the one of the question; class IN, time to live 0.
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0)
    record.writeUInt16BE(type, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt16BE(bytes.length, 10)
    return Buffer.concat([record, bytes])
  })
  return Buffer.concat([header, question.subarray(HEADER_BYTES, end + 4), ...records])
}

const [, , address] = process.argv
if (address !== undefined && process.send !== undefined) {
  let zone: Zone = {}
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (question, { port, address: from }) => socket.send(answer(question, zone), port, from))
  socket.bind(53, address, () => process.send?.('listens'))
  process.on('message', (next: Zone) => {
    zone = next
    process.send?.('knows')
  })
  process.on('disconnect', () => process.exit(0))
}
