/** The board of resources with a journal of its own: what it wants is decided at once. */
import assert from 'node:assert/strict'
import type { ResourceChange } from '../../protocols/resource/journal/resource-changes.ts'
import { ResourceBoard } from '../../protocols/resource/planner/resource-board.ts'
import type { Ask } from '../../protocols/resource/resource-record.ts'
import type { Units } from '../../protocols/resource/units.ts'
import { asked, LEADER, ResourceJournal } from './resource-journal.ts'

export class PlannedBoard {
  ids = 0
  readonly journal = new ResourceJournal()
  board = this.#newBoard()
  now = 1_000

  /** @param nodes what they have; ann asks */
  constructor(nodes: Readonly<Record<string, Units>> = { box: { cpu: 4 } }) {
    this.journal.register('ann')
    for (const [peer, capacity] of Object.entries(nodes)) this.journal.register(peer, capacity)
  }

  #newBoard(): ResourceBoard {
    return new ResourceBoard(1, () => `task-${this.ids++}`)
  }

  /** Another node coordinates, and has read all there is. */
  begin(): void {
    this.board = this.#newBoard()
    this.read()
  }

  /** It has read all there is. */
  read(): void {
    for (const [peer, record] of this.journal.nodes()) this.board.setNode(peer, record, this.now)
    for (const [id, record] of this.journal.allocations()) this.board.setAllocation(id, record)
  }

  wanted(): ResourceChange[] {
    this.journal.at = this.now
    return this.board.wanted({ now: this.now, monotonic: this.now })
  }

  /** As the coordinator has it decided. @returns what was decided, in short */
  step(): string[] {
    this.read()
    const done = this.wanted()
    const said = done.map((change) => {
      const answer = this.journal.one(LEADER, change)
      return `${change.do} ${'id' in change ? change.id : 'peer' in change ? change.peer : ''}${typeof answer === 'string' ? ` ${answer}` : ''}`.trim()
    })
    const gone = done.flatMap((change) => (change.do === 'forget' ? change.ids : []))
    for (const id of gone) this.board.setAllocation(id, this.journal.get(id))
    this.read()
    for (const change of done) this.board.answered(change)
    this.journal.check()
    return said
  }

  /** All that it wants, over as many looks as it takes. */
  steps(): string[] {
    const said = this.step()
    for (let looks = 1; this.board.isBehind(); looks += 1) {
      assert.ok(looks < 1_000, 'it comes to an end')
      said.push(...this.step())
    }
    return said
  }

  ask(id: string, units: Units, more: Partial<Ask> = {}, by = 'ann'): void {
    this.askAll(id, [units], more, by)
  }

  askAll(id: string, parts: readonly Units[], more: Partial<Ask> = {}, by = 'ann'): void {
    this.journal.at = this.now
    this.journal.allocate(by, id, asked(parts, more))
  }

  /** Their leases go on. */
  renewAll(): void {
    this.journal.at = this.now
    for (const [peer, { registration }] of this.journal.nodes()) this.journal.one(peer, { do: 'renew', registration })
  }

  release(id: string, by = 'ann'): void {
    this.journal.one(by, { do: 'release', id })
    this.board.setAllocation(id, undefined)
  }
}
