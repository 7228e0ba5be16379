/**
 * The DNS messages of multicast discovery: a question for a service, and the answer of one that offers it, with a TXT
 * record that carries bytes. Pure.
 *
 * Source: RFC 1035, section 4; RFC 6762, sections 6 and 18; RFC 6763, sections 4 and 6. Messages of other software pass
 * here as well, on one port: what is malformed, too long or about anything else is nothing, never an error.
 */
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import { toString as text } from 'uint8arrays/to-string'

/** One datagram on any network, IPv6 header and fragments apart. */
export const MAX_PACKET_BYTES = 1_400
const HEADER_BYTES = 12
const PTR = 12
const TXT = 16
const INTERNET = 1
/** RFC 6762, section 10.2: the top bit of the class says something else. */
const CLASS_MASK = 0x7fff
/** RFC 6762, section 18: an answer, authoritative. */
const ANSWER = 0x8400
const RESPONSE_BIT = 0x80
const MAX_RECORDS = 32
const MAX_LABELS = 16
const MAX_TXT_PART = 255

/** `_x7f….local` as labels, the first of 15 characters after the underscore at most (RFC 6763, section 7.2). */
export type MdnsServiceName = string

const number16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)
const number32 = (value: number): Uint8Array => concat([number16(value >>> 16), number16(value & 0xffff)])

const writeName = (name: string): Uint8Array =>
  concat([
    ...name.split('.').map((label) => concat([Uint8Array.of(label.length), fromString(label, 'ascii')])),
    Uint8Array.of(0),
  ])

const header = (flags: number, questions: number, answers: number): Uint8Array =>
  concat([number16(0), number16(flags), number16(questions), number16(answers), number32(0)])

export const writeQuestion = (service: MdnsServiceName): Uint8Array =>
  concat([header(0, 1, 0), writeName(service), number16(PTR), number16(INTERNET)])

const record = (name: string, type: number, ttlSeconds: number, data: Uint8Array): Uint8Array =>
  concat([writeName(name), number16(type), number16(INTERNET), number32(ttlSeconds), number16(data.length), data])

/** @param instance one label, different for each node */
export const writeAnswer = (
  service: MdnsServiceName,
  instance: string,
  ttlSeconds: number,
  data: Uint8Array,
): Uint8Array => {
  const name = `${instance}.${service}`
  const parts: Uint8Array[] = []
  for (let at = 0; at < data.length; at += MAX_TXT_PART) {
    const part = data.subarray(at, at + MAX_TXT_PART)
    parts.push(Uint8Array.of(part.length), part)
  }
  return concat([
    header(ANSWER, 0, 2),
    record(service, PTR, ttlSeconds, writeName(name)),
    record(name, TXT, ttlSeconds, concat(parts)),
  ])
}

/** What a packet says about one service. */
export type MdnsMessage = { readonly kind: 'question' } | { readonly kind: 'answer'; readonly data: Uint8Array }

/** Thrown and caught in this file: the packet ends too early, or points where it must not. */
const malformed = new Error('malformed')

const reader = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = HEADER_BYTES
  const need = (count: number): number => {
    if (at + count > bytes.length) throw malformed
    at += count
    return at - count
  }
  const name = (): string => {
    const labels: string[] = []
    let from = at
    /** Where reading goes on once the name is over; set by its first pointer. */
    let after: number | undefined
    for (;;) {
      const length = bytes[from]
      if (length === undefined || labels.length > MAX_LABELS) throw malformed
      if (length === 0) break
      if (length < 64) {
        if (from + 1 + length > bytes.length) throw malformed
        labels.push(text(bytes.subarray(from + 1, from + 1 + length), 'latin1').toLowerCase())
        from += 1 + length
        continue
      }
      const target = ((length & 63) << 8) | (bytes[from + 1] ?? 0)
      // A pointer leads back (RFC 1035, section 4.1.4), so that each chain of them has an end.
      if (length < 192 || target >= from || target < HEADER_BYTES) throw malformed
      after ??= from + 2
      from = target
      labels.push('')
    }
    at = after ?? from + 1
    return labels.filter((label) => label !== '').join('.')
  }
  return {
    name,
    u16: () => view.getUint16(need(2)),
    skip: (count: number) => void need(count),
    take: (count: number) => bytes.subarray(need(count), at),
  }
}

const joinParts = (data: Uint8Array): Uint8Array => {
  const parts: Uint8Array[] = []
  for (let at = 0; at < data.length; at += 1 + (data[at] ?? 0))
    parts.push(data.subarray(at + 1, at + 1 + (data[at] ?? 0)))
  return concat(parts)
}

/** What this packet says about this service; undefined for nothing. */
export const readPacket = (bytes: Uint8Array, service: MdnsServiceName): MdnsMessage | undefined => {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_PACKET_BYTES) return undefined
  const counts = [4, 6, 8, 10].map((at) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0))
  const [questions = 0, ...records] = counts
  if (counts.reduce((sum, count) => sum + count, 0) > MAX_RECORDS) return undefined
  const isResponse = ((bytes[2] ?? 0) & RESPONSE_BIT) !== 0
  const read = reader(bytes)
  try {
    for (let i = 0; i < questions; i += 1) {
      const name = read.name()
      const type = read.u16()
      const isInternet = (read.u16() & CLASS_MASK) === INTERNET
      if (!isResponse && name === service && type === PTR && isInternet) return { kind: 'question' }
    }
    if (!isResponse) return undefined
    for (let i = records.reduce((sum, count) => sum + count, 0); i > 0; i -= 1) {
      const name = read.name()
      const type = read.u16()
      const isInternet = (read.u16() & CLASS_MASK) === INTERNET
      read.skip(4)
      const data = read.take(read.u16())
      if (type === TXT && isInternet && name.endsWith(`.${service}`)) return { kind: 'answer', data: joinParts(data) }
    }
  } catch (error) {
    if (error !== malformed) throw error
  }
  return undefined
}
