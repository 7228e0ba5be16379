/**
 * What a program says of a message beside its data: the options of `send`, and to whom. Pure; whatever cannot be meant is
 * MSG001, with what to give instead.
 */
import { ParleyError } from '../errors.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import { Headers, PRIORITIES } from '../wire/envelope.ts'
import { validate } from '../wire/payload/payload.ts'
import type { SendOptions, To } from './api.ts'
import { GUARANTEES } from './durable-message.ts'
import { type RetryPolicy, RetryPolicySchema } from './options.ts'

const OPTION_KEYS = keysOf<SendOptions>({
  guarantee: true,
  conversationId: true,
  correlationId: true,
  replyTo: true,
  rebind: true,
  headers: true,
  priority: true,
  ttlMs: true,
  retry: true,
  traceparent: true,
  signal: true,
  parent: true,
})
const PEER = /^[A-Za-z0-9]{1,128}$/
const MAX_PEERS = 1_024
const MAX_TEXT = 128
const MAX_TTL_MS = 2 ** 31 - 1

/** Begins a replyTo that names a topic. */
export const TOPIC = 'topic:'

/**
 * The peer id of a destination, which may be a name; itself unless given.
 * @param where it stands, for an error
 * @throws MSG001, COM002, STA003
 */
export type PeerOf = ((given: unknown, where?: string) => string) | undefined

const wrong = (what: string, value: unknown, hint: string): ParleyError =>
  new ParleyError('MSG001', `${what} of a message is ${JSON.stringify(value)?.slice(0, 80)}`, { hint })

const checkTexts = (options: SendOptions): void => {
  for (const name of ['conversationId', 'correlationId', 'replyTo', 'traceparent'] as const) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT && value.isWellFormed()) continue
    throw wrong(name, value, `give a text of 1 to ${MAX_TEXT} characters`)
  }
}

const checkOptions = (options: SendOptions): void => {
  checkKeys(options, OPTION_KEYS, 'the options of a message')
  checkTexts(options)
  const { guarantee, priority, ttlMs, rebind } = options
  if (rebind !== undefined && rebind !== 'allowed') throw wrong('rebind', rebind, "leave it out, or say 'allowed'")
  if (guarantee !== undefined && !GUARANTEES.includes(guarantee))
    throw wrong('guarantee', guarantee, `use one of ${GUARANTEES.join(', ')}`)
  if (priority !== undefined && !PRIORITIES.includes(priority))
    throw wrong('priority', priority, `use one of ${PRIORITIES.join(', ')}`)
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= MAX_TTL_MS))
    throw wrong('ttlMs', ttlMs, `give whole milliseconds from 1 to ${MAX_TTL_MS}`)
}

const checkPeer = (peer: unknown): void => {
  if (typeof peer === 'string' && PEER.test(peer)) return
  throw wrong('destination', peer, 'give a peer id, as in mesh.self.id or the directory')
}

/** @returns the peers, each once; undefined for a capability. */
const peersOf = (to: To, peerOf: PeerOf): readonly string[] | undefined => {
  if (typeof to === 'object' && to !== null && 'capability' in to) {
    if (typeof to.capability === 'string' && to.capability.length > 0 && to.capability.length <= 64) return undefined
    throw wrong('capability', to.capability, 'give the type of a message or the name of a protocol')
  }
  // It may be called without types; what is no text is refused by whoever looks names up, or here.
  const given = (Array.isArray(to) ? to : [to]) as readonly string[]
  const [only] = given
  if (only !== undefined && given.length === 1 && peerOf !== undefined) return [peerOf(only)]
  const peers = [...new Set(peerOf === undefined ? given : given.map((one) => peerOf(one)))]
  peers.forEach(checkPeer)
  if (peers.length === 0 || peers.length > MAX_PEERS)
    throw wrong('destination', peers.length, `give 1 to ${MAX_PEERS} peers`)
  return peers
}

/** @param retry what counts where the options say nothing of it @throws MSG001 */
export const readOptions = (
  options: SendOptions,
  retry: RetryPolicy,
): { headers: Readonly<Record<string, string>>; policy: RetryPolicy } => {
  checkOptions(options)
  return {
    headers: options.headers === undefined ? {} : validate(Headers, options.headers, 'headers'),
    policy:
      options.retry === undefined
        ? retry
        : validate(RetryPolicySchema, { ...retry, ...options.retry }, 'the retry policy'),
  }
}

/** A name by its peer id: who answers may know another agent by it. @throws MSG001, COM002, STA003 */
export const replyToOf = (replyTo: string | undefined, peerOf: PeerOf): string | undefined =>
  replyTo === undefined || peerOf === undefined || replyTo.startsWith(TOPIC) ? replyTo : peerOf(replyTo, 'replyTo')

/** @returns the peers, each once; none and what they have to offer for one to a capability. @throws MSG001, COM002, STA003 */
export const whomOf = (
  to: To,
  rebind: SendOptions['rebind'],
  peerOf: PeerOf,
): { peers: readonly string[]; capability: string | undefined } => {
  const peers = peersOf(to, peerOf)
  if (peers === undefined)
    return { peers: [], capability: typeof to === 'object' && 'capability' in to ? to.capability : '' }
  if (rebind === undefined) return { peers, capability: undefined }
  throw wrong('rebind', rebind, 'send it to { capability }: nobody takes the place of a peer that is named')
}
