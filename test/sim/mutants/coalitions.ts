/** Deliberate bugs of coalitions, for the scenario of that name. */
import type { Mutant } from './mutant.ts'

const COALITION = 'protocols/coordination/coalition'
const APPLY = 'protocols/coordination/journal/apply-coalitions.ts'

const BUGS: readonly Omit<Mutant, 'scenario'>[] = [
  {
    bug: 'a coalition is active with members that have not agreed',
    file: APPLY,
    find: '  const members = record.members.filter(({ accepted }) => accepted)\n  const isReady',
    replace: '  const { members } = record\n  const isReady',
  },
  {
    bug: 'who is no member any more goes on leading',
    file: APPLY,
    find: 'members.some(({ peer }) => peer === leader) ? leader : (members[0]?.peer ?? leader)',
    replace: 'leader',
  },
  {
    bug: 'anybody dissolves a coalition',
    file: APPLY,
    find: 'if (epoch === undefined && record.owner !== by && !leads)',
    replace: 'if (epoch === undefined && record.goal === by && !leads)',
  },
  {
    bug: 'who was left out is not told',
    file: `${COALITION}/watched-coalition.ts`,
    find: '      ...out.map((peer) => ({ peer, coalition: this.#coalition(0) })),\n',
    replace: '',
  },
  {
    bug: 'an agreement from before it was left out counts as if the member had been told',
    file: `${COALITION}/watched-coalition.ts`,
    find: "reached !== 'absent' && asOf >= (this.#out.get(peer) ?? 0)",
    replace: "reached !== 'absent'",
  },
  {
    bug: 'a new coordinator takes it that all know what was dissolved before',
    file: `${COALITION}/watched-coalition.ts`,
    find: 'new Map(isOver ? record.proposed.members.map((peer) => [peer, 0]) : [])',
    replace: 'new Map()',
  },
  {
    bug: 'a member that comes back is not directed again',
    file: `${COALITION}/watched-coalition.ts`,
    find: "    if (this.#contacts.get(peer)?.reached !== 'sending') this.#contacts.delete(peer)\n",
    replace: '',
  },
  {
    bug: 'members are not told of what changed',
    file: `${COALITION}/watched-coalition.ts`,
    find: 'return contact.asOf < this.#asOf() || (',
    replace: 'return (',
  },
  {
    bug: 'a leader that is gone goes on leading',
    file: `${COALITION}/watched-coalition.ts`,
    find: 'const next = answers(leader)\n      ? leader\n',
    replace: 'const next = members.includes(leader)\n      ? leader\n',
  },
  {
    bug: 'a member that refuses a change stays in it',
    file: `${COALITION}/member-coalitions.ts`,
    find: '        this.#drop(id)\n        return verdict\n',
    replace: '        return verdict\n',
  },
  {
    bug: 'a coalition does not end by itself at a member',
    file: `${COALITION}/member-coalitions.ts`,
    find: 'timers.after(leftMs, () => this.#over(id))',
    replace: 'timers.after(leftMs, () => {})',
  },
  {
    bug: 'a decision to leave leaves no fence behind',
    file: `${COALITION}/member-coalitions.ts`,
    find: '        await this.#deps.fences.accept(coalitionScope(id), fence)\n      } catch',
    replace: '      } catch',
  },
  {
    bug: 'a new coordinator does not read the coalitions that there are',
    file: `${COALITION}/coalition-runner.ts`,
    find: '    this.#load(view)\n    const stopHearing',
    replace: '    const stopHearing',
  },
  {
    bug: 'agents that nobody knows are directed',
    file: `${COALITION}/coalition-runner.ts`,
    find: "    if (isKnown?.(peer) === false) return 'absent'\n",
    replace: '',
  },
  {
    bug: 'a coalition is said to be formed while it is forming',
    file: `${COALITION}/coalition-reader.ts`,
    find: "if (record.state === 'active') return",
    replace: "if (record.state !== 'dissolved') return",
  },
]

export const COALITION_MUTANTS: readonly Mutant[] = BUGS.map((bug) => ({ ...bug, scenario: 'coalitions' }))
