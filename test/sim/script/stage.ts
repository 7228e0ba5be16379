/**
 * Where a script plays: members, the messages between them, and lines that are cut. Nothing happens by itself: time passes
 * and messages arrive when the script says so.
 *
 * State: the members, messages on their way, messages that are held back, cuts. Bounded: a script that does not come to
 * rest is an error.
 */

import type { RaftInput, RaftSettings } from '../../../protocols/consensus/raft/raft.ts'
import { type Entry, encodeConfiguration, type RaftMessage } from '../../../protocols/consensus/raft/raft-messages.ts'
import { type Actor, createActor, type Heard, type Snapshot, start, step } from './actor.ts'
import { changeText, messageText, type View, viewOf } from './text.ts'

const MAX_DELIVERIES = 10_000

/** What a script says cannot be done, or is not as it expects. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError'
}

export interface Packet {
  readonly from: string
  readonly to: string
  readonly message: RaftMessage
  readonly snapshot: Snapshot | undefined
}

export interface Stage {
  readonly actors: Map<string, Actor>
  settings: Partial<RaftSettings>
  /** On their way, oldest first. */
  wires: Packet[]
  /** Held back by the script. */
  held: Packet[]
  readonly cuts: Set<string>
  /** Of reads, in the order in which the script asks. */
  reads: number
}

export const createStage = (): Stage => ({
  actors: new Map(),
  settings: {},
  wires: [],
  held: [],
  cuts: new Set(),
  reads: 0,
})

export const actorOf = (stage: Stage, id: string): Actor => {
  const actor = stage.actors.get(id)
  if (actor === undefined) throw new ScriptError(`there is no ${id}`)
  return actor
}

/** Patience of a member in elections: that of m0 ends first, then that of m1, and so on. */
const patienceOf =
  (id: string): (() => number) =>
  () =>
    ((Number(/\d+/.exec(id)?.[0] ?? 0) % 9) + 1) / 10

export const addActor = (stage: Stage, id: string, voters: readonly string[]): void => {
  if (stage.actors.has(id)) throw new ScriptError(`${id} is here already`)
  const data = encodeConfiguration({ voters, learners: [] })
  const founding: Entry[] = voters.length === 0 ? [] : [{ index: 1, term: 1, kind: 'configuration', data }]
  stage.actors.set(id, createActor(id, founding))
}

const post = (stage: Stage, { id, disk }: Actor, { messages, lines }: Heard): string[] => {
  for (const { to, message } of messages)
    stage.wires.push({ from: id, to, message, snapshot: message.type === 'snapshot' ? disk.snapshot : undefined })
  return lines.map((line) => `${id}: ${line}`)
}

/** @returns lines for the audience */
export const startActor = (stage: Stage, actor: Actor): string[] =>
  post(stage, actor, start(actor, patienceOf(actor.id), stage.settings))

/** @returns lines for the audience; a member that is down or frozen does nothing */
export const give = (stage: Stage, actor: Actor, input: RaftInput, snapshot?: Snapshot): string[] =>
  actor.isFrozen ? [] : post(stage, actor, step(actor, input, snapshot))

/** Something that a leader takes or does not. */
export const ask = (stage: Stage, actor: Actor, input: RaftInput): string[] => {
  if (actor.isFrozen || actor.raft === undefined) throw new ScriptError(`${actor.id} cannot hear it`)
  const heard = step(actor, input)
  const lines = post(stage, actor, heard)
  // One that died on the way says nothing.
  const isRefused = heard.proposed === undefined && stage.actors.get(actor.id)?.raft !== undefined
  return isRefused ? [...lines, `${actor.id}: does not take it`] : lines
}

export const isCut = ({ cuts }: Stage, from: string, to: string): boolean => cuts.has(`${from}>${to}`)

/** @returns lines for the audience */
export const arrive = (stage: Stage, { from, to, message, snapshot }: Packet): string[] => {
  const actor = stage.actors.get(to)
  if (actor === undefined || isCut(stage, from, to)) return []
  return give(stage, actor, { type: 'message', from, message }, snapshot)
}

export const packetText = (stage: Stage, packet: Packet): string => {
  const { from, to, message } = packet
  const isLost = isCut(stage, from, to) || stage.actors.get(to)?.raft === undefined
  return `${from} > ${to} ${messageText(message)}${isLost ? ' (lost)' : ''}`
}

/** Takes those on their way that fit; what is for a frozen member waits. */
export const takeFrom = (stage: Stage, fits: (packet: Packet) => boolean): Packet[] => {
  const isReady = (packet: Packet): boolean => fits(packet) && stage.actors.get(packet.to)?.isFrozen !== true
  const taken = stage.wires.filter(isReady)
  stage.wires = stage.wires.filter((packet) => !isReady(packet))
  return taken
}

/**
 * Messages arrive, and what they bring about, until nothing is on its way.
 * @param types only these; others stay on their way
 * @returns lines for the audience
 */
export const settle = (stage: Stage, types?: readonly string[]): string[] => {
  const isDue = ({ to, message }: Packet): boolean =>
    stage.actors.get(to)?.isFrozen !== true && (types === undefined || types.includes(message.type))
  const lines: string[] = []
  for (let count = 0; ; count += 1) {
    if (count > MAX_DELIVERIES) throw new ScriptError(`it does not come to rest in ${MAX_DELIVERIES} messages`)
    const at = stage.wires.findIndex(isDue)
    const [packet] = at < 0 ? [] : stage.wires.splice(at, 1)
    if (packet === undefined) return lines
    lines.push(...arrive(stage, packet))
  }
}

export const viewsOf = ({ actors }: Stage): ReadonlyMap<string, View> =>
  new Map([...actors.values()].map((actor) => [actor.id, viewOf(actor)]))

/** Members of which the same is to be said are named together. */
export const changes = (before: ReadonlyMap<string, View>, after: ReadonlyMap<string, View>): string[] => {
  const said = new Map<string, string[]>()
  for (const [id, view] of after) {
    const text = changeText(before.get(id), view)
    if (text !== undefined) said.set(text, [...(said.get(text) ?? []), id])
  }
  return [...said].map(([text, ids]) => `${ids.join(' ')}: ${text}`)
}
