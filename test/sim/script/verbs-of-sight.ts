/** What the audience is shown, and what a script insists on, also when it is rewritten. */
import type { Actor } from './actor.ts'
import { packetText, ScriptError, type Stage } from './stage.ts'
import { entryText, logText, membersText, viewOf } from './text.ts'
import { actors, need, none, oneActor, UsageOfVerb, type Verb } from './verb.ts'

const upOnly =
  (tell: (actor: Actor, raft: NonNullable<Actor['raft']>) => string) =>
  (actor: Actor): string =>
    actor.raft === undefined ? 'is down' : tell(actor, actor.raft)

const SHOWN: Readonly<Record<string, (actor: Actor) => string>> = {
  log: (actor) => logText(actor) || 'empty',
  roles: (actor) => viewOf(actor).role,
  terms: ({ disk }) => `term ${disk.hard.term}, voted for ${disk.hard.votedFor ?? 'nobody'}`,
  applied: upOnly(({ words }) => words.join(' ') || 'nothing'),
  members: upOnly((_, raft) => membersText(raft.status().configuration) || 'nobody'),
  copies: upOnly(({ id }, raft) => {
    const { configuration, role } = raft.status()
    const others = [...configuration.voters, ...configuration.learners].filter((other) => other !== id)
    return role === 'leader' ? others.map((other) => `${other} up to ${raft.matchOf(other)}`).join(', ') : 'no leader'
  }),
}

const leadersOf = ({ actors }: Stage): Actor[] =>
  [...actors.values()].filter(({ raft }) => raft?.status().role === 'leader')

const insist = (what: string, is: string, expected: string): string[] => {
  if (is !== expected) throw new ScriptError(`${what} is ${JSON.stringify(is)}, and not ${JSON.stringify(expected)}`)
  return []
}

const expectLeader = (stage: Stage, [id, ...rest]: readonly string[]): string[] => {
  const leaders = leadersOf(stage)
  if (id === 'nobody') {
    none(rest)
    return insist('the leader', leaders.map((leader) => leader.id).join() || 'nobody', 'nobody')
  }
  const { raft } = oneActor(stage, id)
  const [name, term, ...more] = rest
  none(more)
  insist(`the role of ${id}`, raft?.status().role ?? 'down', 'leader')
  if (name !== undefined && name !== 'term') throw new UsageOfVerb(`${name}?`)
  return name === undefined ? [] : insist(`the term of ${id}`, String(raft?.status().term), need(term))
}

/** Of one member: what is, as a script writes it. */
const FACTS: Readonly<Record<string, (actor: Actor) => string>> = {
  role: ({ raft }) => raft?.status().role ?? 'down',
  term: ({ disk }) => String(disk.hard.term),
  commit: ({ raft }) => String(raft?.status().commit ?? 'down'),
  applied: ({ words }) => words.join(' ') || 'nothing',
  log: ({ disk }) => disk.entries.map(({ index, term }) => `${index}/${term}`).join(' ') || 'nothing',
  last: ({ disk }) => disk.entries.slice(-1).map(entryText).join() || 'nothing',
  voters: ({ raft }) => raft?.status().configuration.voters.join(' ') ?? 'down',
}

export const SIGHT: Readonly<Record<string, Verb>> = {
  show: {
    usage: `show ${Object.keys(SHOWN).join('|')} [m0], show wires`,
    run(stage, [what, who = 'all', ...rest]) {
      none(rest)
      if (what === 'wires') return stage.wires.map((packet) => packetText(stage, packet))
      const shown = SHOWN[need(what)]
      if (shown === undefined) throw new UsageOfVerb(`${what}?`)
      return actors(stage, who).map((actor) => `${actor.id}: ${shown(actor)}`)
    },
  },
  expect: {
    usage: `expect leader m1 [term 3]|nobody, expect ${Object.keys(FACTS).join('|')} m0 VALUE`,
    run(stage, [what, ...words]) {
      if (what === 'leader') return expectLeader(stage, words)
      const fact = FACTS[need(what)]
      if (fact === undefined) throw new UsageOfVerb(`${what}?`)
      const [who, ...value] = words
      need(value[0])
      for (const actor of actors(stage, who)) insist(`${what} of ${actor.id}`, fact(actor), value.join(' '))
      return []
    },
  },
}
