/**
 * What this member applied of the committed log that can be proven, and so what it signs: configurations, and the beginnings
 * of epochs, each with the voters that were in force there. Nothing comes in here that is not committed.
 *
 * Nothing of it is kept: what is still in the log is applied again after a restart, and each new epoch begins with an entry
 * of its own, which says who votes as well. State: the last MAX_FACTS of it, and who votes as of the last applied entry.
 */
import type { Stop } from '../../port.ts'
import type { Configuration } from '../raft/raft-messages.ts'
import { sameVoters } from './proof-chain.ts'
import type { Statement } from './statement.ts'

export const MAX_FACTS = 64

export interface AppliedFact {
  readonly kind: 'configuration' | 'epoch'
  readonly term: number
  readonly index: number
  /** Member id; empty for a configuration. */
  readonly leader: string
  /** Sorted. */
  readonly voters: readonly string[]
}

export interface AppliedFacts {
  /** A configuration is in force: an entry of it was applied, or a snapshot that was taken under it. */
  addConfiguration(configuration: Configuration, at: { term: number; index: number }, isEntry: boolean): void
  /** An epoch began. @param leader peer id */
  addEpoch(leader: string, at: { term: number; index: number }): void
  /** Who votes as of what was applied last. */
  voters(): readonly string[]
  /** The beginning of this term. */
  epochOf(term: number): AppliedFact | undefined
  /** The highest term whose beginning was applied; 0 before. */
  term(): number
  /** Of the last fact; 0 before. */
  index(): number
  /** Configurations after `index` that changed the voters, or were said again, oldest first. */
  configurationsAfter(index: number): AppliedFact[]
  /** What a statement speaks of, where it is true. @param digest that of its voters */
  factOf(statement: Statement, digest: (voters: readonly string[]) => string): AppliedFact | undefined
  /** Called after something was applied that can be proven. */
  onFact(fn: () => void): Stop
  /** Of another mesh from now on. */
  clear(): void
}

export const createAppliedFacts = (): AppliedFacts => {
  /** By index, ascending. */
  let facts: AppliedFact[] = []
  let inForce: readonly string[] = []

  const listeners = new Set<() => void>()

  const add = (fact: AppliedFact): void => {
    // A member that was opened again applies the same again.
    facts = [...facts.filter(({ index }) => index < fact.index), fact].slice(-MAX_FACTS)
    for (const fn of [...listeners]) fn()
  }

  return {
    addConfiguration({ voters }, { term, index }, isEntry) {
      const sorted = [...voters].sort()
      const isOther = !sameVoters(sorted, inForce)
      inForce = sorted
      if (!isEntry) facts = facts.filter((fact) => fact.index <= index)
      // Learners come and go without a link; the same configuration again is said on purpose.
      else if (isOther || facts.at(-1)?.kind !== 'configuration')
        add({ kind: 'configuration', term, index, leader: '', voters: sorted })
    },
    addEpoch(leader, { term, index }) {
      const member = inForce.find((id) => id.startsWith(`${leader}.`))
      if (member !== undefined) add({ kind: 'epoch', term, index, leader: member, voters: inForce })
    },
    voters: () => inForce,
    epochOf: (term) => facts.findLast((fact) => fact.kind === 'epoch' && fact.term === term),
    term: () => facts.findLast(({ kind }) => kind === 'epoch')?.term ?? 0,
    index: () => facts.at(-1)?.index ?? 0,
    configurationsAfter: (index) => facts.filter((fact) => fact.kind === 'configuration' && fact.index > index),
    factOf({ kind, term, index, leader, voters }, digest) {
      const fact = facts.find((one) => one.index === index && one.term === term)
      if (fact === undefined || digest(fact.voters) !== voters || fact.leader !== leader) return undefined
      // An anchor pins what is there: either will do.
      return kind === 'anchor' || fact.kind === kind ? fact : undefined
    },
    onFact(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    clear() {
      facts = []
      inForce = []
    },
  }
}
