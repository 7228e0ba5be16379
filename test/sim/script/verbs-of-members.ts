/** What members are told to do. */
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import { actorOf, ask, give, isCut, ScriptError, type Stage, settle } from './stage.ts'
import { actors, count, need, none, oneActor, UsageOfVerb, type Verb } from './verb.ts'

/** Longer than anybody waits before it would vote for somebody else. */
const FORGET_TICKS = 10
const MAX_CAMPAIGNS = 3
const VOTES: readonly string[] = ['vote', 'voted']

/** `+m3 voter`, `+m3 learner`, `-m1`, one after another. */
const changed = (now: Configuration, words: readonly string[]): Configuration => {
  const [what, ...rest] = words
  if (what === undefined) return now
  const [sign, id] = [what[0], what.slice(1)]
  const without = {
    voters: now.voters.filter((voter) => voter !== id),
    learners: now.learners.filter((learner) => learner !== id),
  }
  if (sign === '-' && id !== '') return changed(without, rest)
  const [as, ...more] = rest
  if (sign !== '+' || id === '' || (as !== 'voter' && as !== 'learner')) throw new UsageOfVerb(`${words.join(' ')}?`)
  const list = as === 'voter' ? 'voters' : 'learners'
  return changed({ ...without, [list]: [...without[list], id] }, more)
}

/** Others have not heard of a leader for a while; what they say meanwhile is lost. */
const forgetLeader = (stage: Stage, candidate: string): void => {
  const { wires } = stage
  for (const actor of stage.actors.values()) {
    const isReached = !isCut(stage, candidate, actor.id) && !isCut(stage, actor.id, candidate)
    if (actor.id === candidate || !isReached || actor.raft?.status().role === 'leader') continue
    stage.wires = []
    for (let i = 0; i < FORGET_TICKS; i += 1) give(stage, actor, { type: 'tick' })
  }
  stage.wires = wires
}

export const DEEDS: Readonly<Record<string, Verb>> = {
  elect: {
    usage: 'elect m0 [votes-only]: the others have not heard of a leader for long, and m0 stands; then messages settle',
    run(stage, [id, what, ...rest]) {
      none(rest)
      if (what !== undefined && what !== 'votes-only') throw new UsageOfVerb(`${what}?`)
      const actor = oneActor(stage, id)
      const lines: string[] = []
      // One that comes back late learns the term first.
      for (let i = 0; i < MAX_CAMPAIGNS && actor.raft?.status().role !== 'leader'; i += 1) {
        forgetLeader(stage, actor.id)
        lines.push(...give(stage, actor, { type: 'campaign' }), ...settle(stage, VOTES))
      }
      if (actor.raft?.status().role !== 'leader') throw new ScriptError(`${id} was not elected`)
      return what === undefined ? [...lines, ...settle(stage)] : lines
    },
  },
  campaign: {
    usage: 'campaign m0: it stands for election',
    run(stage, [id, ...rest]) {
      none(rest)
      return give(stage, oneActor(stage, id), { type: 'campaign' })
    },
  },
  tick: {
    usage: 'tick m0|all [10]: the clock ticks there, and no message arrives',
    run(stage, [who, times, ...rest]) {
      none(rest)
      const lines: string[] = []
      for (let i = 0; i < (times === undefined ? 1 : count(times)); i += 1)
        for (const actor of actors(stage, who)) lines.push(...give(stage, actor, { type: 'tick' }))
      return lines
    },
  },
  pass: {
    usage: 'pass 10: ticks everywhere, and after each messages settle',
    run(stage, [times, ...rest]) {
      none(rest)
      const lines: string[] = []
      for (let i = 0; i < count(times); i += 1) {
        for (const actor of stage.actors.values()) lines.push(...give(stage, actor, { type: 'tick' }))
        lines.push(...settle(stage))
      }
      return lines
    },
  },
  propose: {
    usage: 'propose m0 x y: words for the log',
    run(stage, [id, ...words]) {
      need(words[0])
      const commands = words.map((word) => new TextEncoder().encode(word))
      return ask(stage, oneActor(stage, id), { type: 'propose', commands })
    },
  },
  change: {
    usage: 'change m0 +m3 learner, change m0 +m3 voter, change m0 -m1: who decides, proposed at m0',
    run(stage, [id, ...words]) {
      need(words[0])
      const actor = oneActor(stage, id)
      const now = actor.raft?.status().configuration
      if (now === undefined) throw new ScriptError(`${id} is down`)
      return ask(stage, actor, { type: 'change', configuration: changed(now, words) })
    },
  },
  read: {
    usage: 'read m1: it asks from where on a read is up to date; the answer bears the number of the question',
    run(stage, [id, ...rest]) {
      none(rest)
      const actor = oneActor(stage, id)
      stage.reads += 1
      return give(stage, actor, { type: 'read', id: stage.reads })
    },
  },
  transfer: {
    usage: 'transfer m0 [m1]: m0 hands over, to m1 or to whoever is furthest',
    run(stage, [id, to, ...rest]) {
      none(rest)
      const actor = oneActor(stage, id)
      return give(stage, actor, { type: 'transfer', ...(to !== undefined && { to: actorOf(stage, to).id }) })
    },
  },
  'snapshot-failed': {
    usage: 'snapshot-failed m0 m2: m0 learns that the snapshot did not reach m2',
    run(stage, [id, to, ...rest]) {
      none(rest)
      return give(stage, oneActor(stage, id), { type: 'snapshot-failed', to: need(to) })
    },
  },
}
