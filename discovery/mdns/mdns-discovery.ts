/**
 * Members of a mesh on one local network find each other by multicast DNS, with nothing configured.
 *
 * A node asks for the mesh's service when it starts, then ever less often; whoever is there answers all at once with its
 * peer id and addresses, sealed by a key that members have. What is heard is a candidate and nothing more: it is dialled,
 * Noise proves who it is, and admission decides.
 * Bounds: an answer a second at most, and none where enough others have answered; so many packets a second are opened;
 * what is found lies in the table of the supervisor, which bounds dials.
 * State: when it asks and answers next, and counts. Service: `_` and 15 characters, by the mesh (node/network/mdns/mdns-sockets.ts).
 * Source: RFC 6762, sections 5.2 (intervals), 6 (delays and rates of answers) and 7.4 (answers of others).
 */
import { fromString } from 'uint8arrays/from-string'
import { toString as text } from 'uint8arrays/to-string'
import * as z from 'zod'
import type { Clock, Stop, Timers } from '../../protocols/port.ts'
import { readJsonText } from '../../protocols/wire/payload/payload-bounds.ts'
import { PeerIdSchema } from '../directory/record/agent-record.ts'
import { MAX_PACKET_BYTES, type MdnsServiceName, readPacket, writeAnswer, writeQuestion } from './mdns-packet.ts'

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
/** Nobody is there when so many questions had a second or more, and no answer. */
const SILENT_AFTER = 2
/** RFC 6762, section 6: so that the answers of many do not collide. */
const ANSWER_MIN_MS = 20
const ANSWER_SPREAD_MS = 100
const ANSWER_EVERY_MS = 1_000
/** Who has found so many knows everybody else from them. */
const ENOUGH_ANSWERS = 8
/** Answers that are opened each second at most, so that whoever floods the network costs little. */
const OPENED_PER_SECOND = 100
const TTL_SECONDS = 120
const MAX_ADDRESSES = 8
const MAX_ADDRESS = 256
/** Names, headers and the seal beside what is sealed. */
const OVERHEAD_BYTES = 300

const Told = z.object({ p: PeerIdSchema, a: z.array(z.string().max(MAX_ADDRESS)).min(1).max(MAX_ADDRESSES) })

/** A network interface that packets leave by. */
export interface MulticastInterface {
  readonly name: string
  send(packet: Uint8Array): void
  /** Where this node can be dialled by who hears it there. */
  addresses(): string[]
}

export interface MdnsDeps {
  self: string
  clock: Clock
  timers: Timers
  /** A number from 0 to 1. */
  chance(): number
  service: MdnsServiceName
  /** One label, as good as random. */
  instance: string
  encrypt(bytes: Uint8Array): Uint8Array
  /** Undefined where it was not sealed by a member. */
  decrypt(bytes: Uint8Array): Uint8Array | undefined
  interfaces(): readonly MulticastInterface[]
  /** dropped: not sealed by a member, or more of them in a second than are opened. */
  count(what: 'asked' | 'answered' | 'found' | 'dropped'): void
  found(peer: string, addresses: string[]): void
}

export interface Mdns {
  /** A packet that arrived by any interface. */
  receive(packet: Uint8Array): void
  /** Asks again as at the start: there is another network now. */
  restart(): void
  isSilent(): boolean
  stop(): void
}

/** As many of the addresses as one packet holds. */
const tell = (peer: string, addresses: readonly string[]): Uint8Array | undefined => {
  for (let count = Math.min(MAX_ADDRESSES, addresses.length); count > 0; count -= 1) {
    const bytes = fromString(JSON.stringify({ p: peer, a: addresses.slice(0, count) }))
    if (bytes.length + OVERHEAD_BYTES <= MAX_PACKET_BYTES) return bytes
  }
  return undefined
}

const readTold = (bytes: Uint8Array): z.output<typeof Told> | undefined => {
  try {
    return Told.safeParse(readJsonText(text(bytes))).data
  } catch {
    // Not JSON: the caller counts it.
    return undefined
  }
}

export const createMdns = (deps: MdnsDeps): Mdns => {
  const { clock, timers, service } = deps
  /** Questions since the networks changed at last. */
  let asked = 0
  let isAnybodyThere = false
  let answeredAt = Number.NEGATIVE_INFINITY
  /** Who has answered the question that this node is about to answer. */
  let others = new Set<string>()
  let answering: Stop | undefined
  let stopAsking: Stop = () => {}
  let opened = { second: 0, count: 0 }
  let isStopped = false

  const ask = (pauseMs: number): void => {
    asked += 1
    deps.count('asked')
    for (const place of deps.interfaces()) place.send(writeQuestion(service))
    const nextMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)
    stopAsking = timers.after(pauseMs * (0.9 + deps.chance() / 5), () => ask(nextMs))
  }

  const answer = (): void => {
    answering = undefined
    if (others.size >= ENOUGH_ANSWERS) return
    answeredAt = clock.monotonic()
    deps.count('answered')
    for (const place of deps.interfaces()) {
      const told = tell(deps.self, place.addresses())
      if (told !== undefined) place.send(writeAnswer(service, deps.instance, TTL_SECONDS, deps.encrypt(told)))
    }
  }

  const questioned = (): void => {
    if (answering !== undefined) return
    others = new Set()
    const pauseMs = Math.max(0, answeredAt + ANSWER_EVERY_MS - clock.monotonic())
    answering = timers.after(pauseMs + ANSWER_MIN_MS + ANSWER_SPREAD_MS * deps.chance(), answer)
  }

  const mayOpen = (): boolean => {
    const second = Math.floor(clock.monotonic() / 1_000)
    if (opened.second !== second) opened = { second, count: 0 }
    opened.count += 1
    return opened.count <= OPENED_PER_SECOND
  }

  const answered = (data: Uint8Array): void => {
    const bytes = mayOpen() ? deps.decrypt(data) : undefined
    const told = bytes === undefined ? undefined : readTold(bytes)
    if (told === undefined) {
      deps.count('dropped')
      return
    }
    if (told.p === deps.self) return
    if (others.size < ENOUGH_ANSWERS) others.add(told.p)
    isAnybodyThere = true
    deps.count('found')
    deps.found(told.p, told.a)
  }

  const again = (): void => {
    stopAsking()
    asked = 0
    if (!isStopped) ask(FIRST_PAUSE_MS)
  }

  again()
  return {
    receive(packet) {
      if (isStopped) return
      const heard = readPacket(packet, service)
      if (heard?.kind === 'question') questioned()
      else if (heard?.kind === 'answer') answered(heard.data)
    },
    restart: again,
    isSilent: () => !isAnybodyThere && asked > SILENT_AFTER,
    stop() {
      isStopped = true
      stopAsking()
      answering?.()
    },
  }
}
