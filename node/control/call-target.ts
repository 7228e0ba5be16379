/** What a call by name goes to: found in the directory, and made into a contract without schemas. Pure. */
import * as z from 'zod'
import type { MethodRecord, ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import type { Agent } from '../../discovery/directory/tables/agent-change.ts'
import { type AnyProtocol, defineProtocol, type Method, type MethodKind, majorOf } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { nearestName } from '../../protocols/unknown-keys.ts'

export interface CallTarget {
  readonly protocol: AnyProtocol
  readonly method: string
  readonly kind: MethodKind
}

export interface CallTargetName {
  readonly protocol: string
  /** The newest that is offered, unless told. */
  readonly major: number | undefined
  readonly method: string
}

/** `summarize.once` or `summarize@2.once` */
export const parseCallTarget = (text: string): CallTargetName => {
  const match = /^([a-z][a-z0-9-]{0,63})(?:@(\d{1,5}))?\.([a-zA-Z][a-zA-Z0-9_]{0,63})$/.exec(text)
  const [, protocol, major, method] = match ?? []
  if (protocol === undefined || method === undefined) {
    throw new ParleyError('MSG001', `${JSON.stringify(text)} names no method`, {
      hint: 'write PROTOCOL.METHOD as in summarize.once, or PROTOCOL@MAJOR.METHOD; `parley agents` lists what is offered',
    })
  }
  return { protocol, major: major === undefined ? undefined : Number(major), method }
}

const Anything = z.unknown()

/** Bytes have no JSON: on the command line they are text in base64. */
const Base64 = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')))

const methodOf = ({ kind, timeoutMs, idempotent, content }: MethodRecord): Method => {
  const known = {
    request: content === 'bytes' ? Base64 : Anything,
    ...(content === undefined ? {} : { content }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(idempotent === undefined ? {} : { idempotent }),
  }
  if (kind === 'stream') return { ...known, stream: Anything }
  return kind === 'unary' ? { ...known, response: Anything } : { ...known, oneWay: true }
}

/** Of several agents the newest version tells what there is. */
const newest = (records: readonly ProtocolRecord[]): ProtocolRecord | undefined =>
  [...records].sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))[0]

const hintFor = (name: string, known: readonly string[], none: string): string => {
  const guess = nearestName(name, known)
  if (guess !== undefined) return `did you mean ${guess}?`
  return known.length === 0 ? none : `there is ${known.slice(0, 20).join(', ')}`
}

/**
 * @param agents those who may be called
 * @throws COM004 when nobody offers the protocol, STA001 when those who do have no such method
 */
export const findCallTarget = (agents: readonly Agent[], target: CallTargetName): CallTarget => {
  const all = agents.flatMap(({ record }) => record.protocols)
  const named = all.filter(({ name }) => name === target.protocol)
  const record = newest(named.filter(({ version }) => target.major === undefined || majorOf(version) === target.major))
  if (record === undefined) {
    const offered =
      named.length > 0 ? named.map(({ name, version }) => `${name}@${majorOf(version)}`) : all.map((one) => one.name)
    const asked = target.major === undefined ? target.protocol : `${target.protocol}@${target.major}`
    throw new ParleyError('COM004', `no agent offers ${asked}`, {
      hint: hintFor(asked, [...new Set(offered)], 'no agent offers anything; start one with: parley up --serve FILE'),
    })
  }
  const method = record.methods.find(({ name }) => name === target.method)
  if (method === undefined) {
    throw new ParleyError('STA001', `${record.name} ${record.version} has no method ${target.method}`, {
      hint: hintFor(
        target.method,
        record.methods.map(({ name }) => name),
        'it has no methods',
      ),
    })
  }
  const protocol = defineProtocol({
    name: record.name,
    version: record.version,
    methods: { [method.name]: methodOf(method) },
  })
  return { protocol, method: method.name, kind: method.kind }
}
