/**
 * Nodes that this process plays by itself: each is registered as a worker and with resources, takes what it is given, and says at
 * once that it is done. What they say goes into the journal of the real mesh, under their names; who coordinates there believes
 * that they are connected. State: which tasks each of them has.
 */
import type { Mesh } from '../../../node/index.ts'
import { tasks } from '../../../node/parts/built-in.ts'
import { journalMember } from '../../../node/parts/node-tokens.ts'
import { definePart } from '../../../protocols/define-part.ts'
import type { JournalMember } from '../../../protocols/journal/journal-server.ts'
import { encodeLoggedCommand, type Json } from '../../../protocols/journal/state/command-kind.ts'
import { implementPart, type Loading, type PartContext } from '../../../protocols/part.ts'
import { decideResources } from '../../../protocols/resource/journal/resource-kinds.ts'
import { decideTasks } from '../../../protocols/task/journal/task-kinds.ts'
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import { viewOfTasks } from '../../../protocols/task/task-view.ts'

export interface NodeCrowd {
  readonly count: number
  readonly type: string
  readonly slots: number
  readonly capacity: Readonly<Record<string, number>>
}

export interface PlacementCounts {
  /** Milliseconds of this process at which each task was seen placed first. */
  readonly placedAt: readonly number[]
  readonly completed: number
  readonly without: number
}

type OfJournal = () => JournalMember | undefined

const journalOf = definePart({
  name: 'bench/journal',
  description: 'This node’s copy of the journal.',
  needs: { journalMember },
  activate: 'start',
  load: async (): Loading<OfJournal> => ({
    default: implementPart<typeof journalOf>({ start: ({ journalMember: member }) => ({ api: member }) }),
  }),
})

const peers = new Set<string>()

/** From here on tasks of this process believe that its simulated nodes are connected. */
const believeInThem = (): void => {
  const load = tasks.load
  const believing = async () => {
    const { default: real } = await load()
    const start: typeof real.start = (context, options) => {
      const presence = Reflect.get(context, 'presence') as { statusOf(peer: string): string }
      const members: PartContext['members'] = () => [
        ...context.members(),
        ...[...peers].map((id) => ({ id }) as ReturnType<PartContext['members']>[number]),
      ]
      const statusOf = (peer: string): string => (peers.has(peer) ? 'alive' : presence.statusOf(peer))
      const believed = { ...context, members, presence: Object.assign(Object.create(presence), { statusOf }) }
      return real.start(believed, options)
    }
    return { default: { ...real, start } }
  }
  Object.assign(tasks, { load: believing })
}

/** Options of a mesh that may have them. */
export const withSimulatedNodes = () => {
  believeInThem()
  return { parts: [journalOf] }
}

const nameOf = (i: number): string => `simulated-${i}`

class NodesOfJournal {
  readonly #member: JournalMember
  readonly #placedAt: number[] = []
  #completed = 0
  #without = 0

  constructor(member: JournalMember) {
    this.#member = member
  }

  async #decide(kind: string, by: string, change: object): Promise<void> {
    const facts = { session: 0, serial: 0, acked: 0, at: Date.now(), by }
    await this.#member.group.propose(encodeLoggedCommand({ ...facts, kind, input: { changes: [change] } as Json }))
  }

  async start({ count, type, slots, capacity }: NodeCrowd): Promise<void> {
    this.#follow()
    const all = Array.from({ length: count }, (_, i) => nameOf(i))
    for (const peer of all) peers.add(peer)
    const offers = [{ type, slots }]
    await Promise.all(
      all.flatMap((peer) => [
        this.#decide(decideResources.name, peer, { do: 'register', incarnation: 1, capacity }),
        this.#decide(decideTasks.name, peer, { do: 'register', incarnation: 1, offers }),
      ]),
    )
  }

  counts(): PlacementCounts {
    return { placedAt: this.#placedAt, completed: this.#completed, without: this.#without }
  }

  #follow(): void {
    const view = viewOfTasks(this.#member)
    view.all()
    this.#member.machine.onApplied(() => {
      for (const change of view.changes() ?? [])
        if (change.type === 'task' && change.record !== undefined) this.#onTask(change.id, change.record)
    })
  }

  #onTask(id: string, { status, worker = '', fence, allocation }: TaskRecord): void {
    if (status !== 'assigned' || fence === undefined || !peers.has(worker)) return
    this.#placedAt.push(performance.now())
    if (allocation === undefined) this.#without += 1
    this.#decide(decideTasks.name, worker, { do: 'complete', id, fence, result: 1 }).then(
      () => {
        this.#completed += 1
      },
      () => {},
    )
  }
}

export type SimulatedNodes = NodesOfJournal

/** @param mesh that was started `withSimulatedNodes`, and coordinates */
export const simulatedNodes = async (mesh: Mesh): Promise<SimulatedNodes> => {
  const member = (await mesh.part(journalOf))()
  if (member === undefined) throw new Error('this node has no copy of the journal')
  return new NodesOfJournal(member)
}
