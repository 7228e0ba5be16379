/**
 * The chain that this node has proven, with its signatures checked and kept: the driver of proof-chain.ts.
 *
 * One proof is looked at after the other, so that each is judged by what was taken before. Nothing is believed less because it
 * could not be written: it would have to be shown again after a restart. State: the chain, the proofs that wait (bounded), the
 * save under way.
 */
import { fromString as decodeText } from 'uint8arrays/from-string'
import type { Port, Stop } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import { type ChainBeginning, meshIdOf } from './chain-beginning.ts'
import {
  addProof,
  emptyChain,
  examineProof,
  hasNoProof,
  newestConfiguration,
  type ProofChain,
  type ProofRefusal,
} from './proof-chain.ts'
import { type Proof, signedBytes, statementOf } from './statement.ts'

/** Proofs that wait for those before. */
const MAX_WAITING = 64

/** Where it is kept; without one it is kept as long as the process. */
export interface ProofStore {
  /** What was proven of this mesh; undefined: nothing. @throws where it cannot be trusted */
  load(meshId: string): Promise<ProofChain | undefined>
  /** Takes the place of what was there. Resolves once it survives a power cut. */
  save(chain: ProofChain): Promise<void>
}

/** What nobody honest shows; the others miss something that comes, or was. */
const FALSE: ReadonlySet<string> = new Set<ProofRefusal>([
  'other-mesh',
  'unknown-signer',
  'bad-signature',
  'contradicting',
])

export type ProofVerdict = 'taken' | 'known' | ProofRefusal | 'busy'

export interface ProvenChain {
  chain(): ProofChain | undefined
  /** This node belongs to this mesh. @param beginning where this node knows it itself */
  setMesh(meshId: string, beginning: ChainBeginning | undefined): Promise<void>
  /** Somebody shows the beginning. @returns false where it is not that of this mesh */
  setBeginning(beginning: ChainBeginning): boolean
  /** @param mayPin an anchor may be believed that nothing links to what is known here */
  submit(proof: Proof, mayPin: boolean): Promise<ProofVerdict>
  /** Called after something was proven. */
  onProven(fn: () => void): Stop
  counts(): { verified: number; unsaved: number }
  /** Resolves once what was proven is kept. */
  flushed(): Promise<void>
}

/** Saves the newest one of those that come while one is being saved. */
const createSaver = (store: ProofStore | undefined, log: Port['log']) => {
  let saving: Promise<void> | undefined
  let toSave: ProofChain | undefined
  let unsaved = 0
  const save = async (): Promise<void> => {
    while (toSave !== undefined) {
      const one = toSave
      toSave = undefined
      try {
        await store?.save(one)
      } catch (error) {
        unsaved += 1
        log.warn('what was proven of the coordination cannot be kept; it is asked for again after a restart', { error })
      }
    }
    saving = undefined
  }
  return {
    save(chain: ProofChain): void {
      toSave = chain
      saving ??= Promise.resolve().then(save)
    },
    settled: async (): Promise<void> => saving,
    unsaved: () => unsaved,
  }
}

/** Members whose signature is good. */
const goodSigners = async (
  { hash, verify }: Pick<Port, 'hash' | 'verify'>,
  proof: Proof,
): Promise<ReadonlySet<string>> => {
  const bytes = signedBytes(statementOf(hash, proof))
  const valid = new Set<string>()
  const one = async (member: string, signature: string): Promise<void> => {
    if (await verify(peerOf(member), bytes, decodeText(signature, 'base64url'))) valid.add(member)
  }
  await Promise.all(proof.signatures.map(({ member, signature }) => one(member, signature)))
  return valid
}

export const createProvenChain = (
  port: Pick<Port, 'hash' | 'verify' | 'log' | 'self'>,
  store: ProofStore | undefined,
  onRefused: (reason: string) => void = () => {},
): ProvenChain => {
  let chain: ProofChain | undefined
  let tail: Promise<unknown> = Promise.resolve()
  let waiting = 0
  const saver = createSaver(store, port.log)
  const listeners = new Set<() => void>()
  let verified = 0

  const keep = (next: ProofChain): void => {
    chain = next
    saver.save(next)
  }
  const refused = (reason: string, proof: Proof): void => {
    onRefused(reason)
    const { kind, term, index, voters } = proof
    if (reason === 'contradicting')
      port.log.error(
        'two histories of this mesh are signed: voters of it lie, or two stores of one voter were in use',
        {
          shown: { kind, term, index, voters },
          proven: chain && newestConfiguration(chain),
        },
      )
  }

  const look = async (proof: Proof, mayPin: boolean): Promise<ProofVerdict> => {
    if (chain === undefined) return 'other-mesh'
    const examined = examineProof(chain, proof)
    if (examined.type === 'known') return 'known'
    let verdict: ProofVerdict
    if (examined.type === 'refused') verdict = examined.reason
    else if (examined.role === 'pin' && !mayPin) verdict = 'not-pinned'
    else {
      verified += proof.signatures.length
      const valid = await goodSigners(port, proof)
      // It may belong to another mesh by now.
      const taken = addProof(chain, proof, valid, mayPin)
      verdict = taken.verdict
      if (verdict === 'taken') {
        keep(taken.chain)
        if (examined.role === 'pin')
          port.log.warn('the voters of this mesh are believed as they were first met: nothing older proves them', {
            voters: proof.voters,
          })
        for (const fn of [...listeners]) fn()
      }
    }
    if (FALSE.has(verdict)) refused(verdict, proof)
    return verdict
  }

  return {
    chain: () => chain,
    async setMesh(meshId, beginning) {
      if (chain?.meshId !== meshId) chain = emptyChain(meshId)
      try {
        const kept = await store?.load(meshId)
        if (kept !== undefined && chain.meshId === meshId && hasNoProof(chain)) chain = kept
      } catch (error) {
        port.log.warn('what was proven of the coordination cannot be read; it is asked for again', { error })
      }
      if (beginning !== undefined) this.setBeginning(beginning)
      if (!hasNoProof(chain)) for (const fn of [...listeners]) fn()
    },
    setBeginning(beginning) {
      if (chain === undefined || meshIdOf(port.hash, beginning) !== chain.meshId) return false
      if (beginning.type === 'founded' && beginning.mesh !== port.self.mesh) return false
      if (chain.beginning === undefined) keep({ ...chain, beginning })
      return true
    },
    submit(proof, mayPin) {
      if (waiting >= MAX_WAITING) return Promise.resolve('busy')
      waiting += 1
      const done = tail.then(() => look(proof, mayPin))
      tail = done.catch(() => {})
      return done.finally(() => {
        waiting -= 1
      })
    },
    onProven(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    counts: () => ({ verified, unsaved: saver.unsaved() }),
    async flushed() {
      await tail
      await saver.settled()
    },
  }
}
