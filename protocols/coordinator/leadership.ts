/**
 * A coordinator's time: from winning an election to having lost it.
 *
 * It acts only after an entry of its own term was committed and applied here (dissertation, section 6.4): until then it
 * does not know all that was decided. Its first decision writes the epoch into the journal's history. What runs for as long
 * as it acts gets a signal that ends with it. A coordinator that is cut off or frozen cannot know that it was replaced:
 * what it does then carries an old fence, and is refused.
 * State: the epoch in which this node acts, and what runs in it.
 */
import type { RaftStatus } from '../consensus/raft/raft.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { beginEpoch } from '../journal/state/built-in-kinds.ts'
import { encodeLoggedCommand } from '../journal/state/command-kind.ts'
import type { Port } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'

export interface ActingFacts {
  readonly epoch: number
  /** Aborted when this node coordinates no more. */
  readonly signal: AbortSignal
}

export interface Leadership {
  /** The member's Raft moved on. */
  onStatus(member: JournalMember, status: RaftStatus): void
  /** The epoch in which this node acts now. */
  epoch(): number | undefined
  /** Says once more that this epoch began, now with other voters. */
  restateEpoch(member: JournalMember): void
  /** Its member, looked at each 100 ms: one that failed or stands still leads nobody, whatever it last said. */
  checkProgress(member: JournalMember | undefined): void
  /** Runs for as long as this node acts, each time that it does; its signal ends when it is stopped. */
  act(fn: Acting): Registration
  stop(): void
}

/** Looks at a leading member without a step of it in between: its disk hangs or has no room. */
const MAX_IDLE_LOOKS = 10

type Acting = (facts: ActingFacts) => void | Promise<void>

/** What runs for as long as this node acts, each with a signal that ends it. */
const createActivities = (log: Port['log']) => {
  const fns = new Map<{ readonly fn: Acting }, AbortController | undefined>()

  const start = (one: { readonly fn: Acting }, epoch: number): void => {
    const end = new AbortController()
    fns.set(one, end)
    const failed = (error: unknown): void => {
      if (!end.signal.aborted) log.error('what the coordinator does failed', { epoch, error })
    }
    try {
      Promise.resolve(one.fn({ epoch, signal: end.signal })).catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  return {
    /** @param epoch in which this node acts now @returns stops it for good */
    add(fn: Acting, epoch: number | undefined): Registration {
      const one = { fn }
      fns.set(one, undefined)
      if (epoch !== undefined) start(one, epoch)
      return createRegistration(() => {
        const running = fns.get(one)
        fns.delete(one)
        running?.abort(new Error('it was stopped'))
      })
    },
    /** What one of them does may end the epoch: no other begins then. */
    begin(epoch: number, isOn: () => boolean): void {
      for (const [one, running] of fns) if (isOn() && running === undefined) start(one, epoch)
    },
    end(epoch: number): void {
      for (const [one, running] of fns) {
        fns.set(one, undefined)
        running?.abort(new Error(`epoch ${epoch} is over`))
      }
    },
  }
}

export const createLeadership = (
  port: Pick<Port, 'self' | 'log'>,
  changed: (epoch: number | undefined) => void,
): Leadership => {
  const activities = createActivities(port.log)
  /** The term whose beginning was asked for, and of which member. */
  let begun: { readonly group: JournalMember['group']; readonly epoch: number } | undefined
  let acting: number | undefined
  let idleLooks = 0
  let lastSteps = 0
  let stopped = false

  const end = (): void => {
    if (acting === undefined) return
    const epoch = acting
    acting = undefined
    activities.end(epoch)
    port.log.info('this node coordinates no more', { epoch })
    changed(undefined)
  }

  const state = ({ group, clock }: JournalMember): Promise<unknown> => {
    const input = { leader: port.self.id, name: port.self.name }
    const at = clock.now()
    const facts = { kind: beginEpoch.name, session: 0, serial: 0, acked: 0, at, by: port.self.id, input }
    return group.propose(encodeLoggedCommand(facts))
  }

  const begin = async (member: JournalMember, epoch: number): Promise<void> => {
    const { group } = member
    const mine = { group, epoch }
    begun = mine
    try {
      await state(member)
    } catch (error) {
      // It lost the lead before it began, or is overloaded: as long as it leads, it tries again.
      if (begun === mine) begun = undefined
      port.log.info('an epoch did not begin', { epoch, error })
      return
    }
    const now = group.status()
    if (stopped || begun !== mine || now.role !== 'leader' || now.term !== epoch) return
    acting = epoch
    port.log.info('this node coordinates', { epoch })
    changed(epoch)
    // It may be over by now.
    activities.begin(epoch, () => acting === epoch)
  }

  return {
    onStatus(member, { role, term, commitTerm }) {
      if (acting !== undefined && (role !== 'leader' || term !== acting)) end()
      const isBegun = begun?.group === member.group && begun.epoch === term
      if (!stopped && role === 'leader' && commitTerm === term && !isBegun) void begin(member, term)
    },
    epoch: () => acting,
    restateEpoch(member) {
      state(member).catch((error: unknown) => port.log.info('an epoch was not begun again', { error }))
    },
    checkProgress(member) {
      const steps = member?.group.counts().steps ?? 0
      idleLooks = acting !== undefined && steps === lastSteps ? idleLooks + 1 : 0
      lastSteps = steps
      if (member !== undefined && idleLooks < MAX_IDLE_LOOKS) return
      // It begins again once that leads.
      begun = undefined
      end()
    },
    act: (fn) => activities.add(fn, acting),
    stop() {
      stopped = true
      end()
    },
  }
}
