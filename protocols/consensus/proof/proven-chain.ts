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
  type PlacedVoters,
  type ProofChain,
  type ProofRefusal,
  provenTermOf,
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

/** A member that has proven to lead since this term. */
export interface ProvenEpoch {
  readonly epoch: number
  /** Peer id. */
  readonly leader: string
  /** The newest ones that were proven. */
  readonly voters: readonly string[]
}

export class ProvenChain {
  readonly #port: Pick<Port, 'hash' | 'verify' | 'log' | 'self'>
  readonly #store: ProofStore | undefined
  readonly #onRefused: (reason: string) => void
  readonly #saver: ReturnType<typeof createSaver>
  readonly #listeners = new Set<() => void>()
  #chain: ProofChain | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #verified = 0

  /** @param onRefused told why a proof was not taken, where nobody honest shows such a one */
  constructor(
    port: Pick<Port, 'hash' | 'verify' | 'log' | 'self'>,
    store: ProofStore | undefined,
    onRefused: (reason: string) => void = () => {},
  ) {
    this.#port = port
    this.#store = store
    this.#onRefused = onRefused
    this.#saver = createSaver(store, port.log)
  }

  /** Undefined: this node belongs to no mesh yet. */
  chain(): ProofChain | undefined {
    return this.#chain
  }

  hasProof(): boolean {
    return this.#chain !== undefined && !hasNoProof(this.#chain)
  }

  /** The highest term that was proven; 0 before. */
  term(): number {
    return this.#chain === undefined ? 0 : provenTermOf(this.#chain)
  }

  /** The newest proven configuration. */
  head(): PlacedVoters | undefined {
    return this.#chain && newestConfiguration(this.#chain)
  }

  /** The newest proven epoch. */
  epoch(): ProvenEpoch | undefined {
    const proof = this.#chain?.epoch
    if (proof === undefined) return undefined
    return { epoch: proof.term, leader: peerOf(proof.leader), voters: this.head()?.voters ?? [] }
  }

  /** This node belongs to this mesh. @param beginning where this node knows it itself */
  async setMesh(meshId: string, beginning: ChainBeginning | undefined): Promise<void> {
    if (this.#chain?.meshId !== meshId) this.#chain = emptyChain(meshId)
    try {
      const kept = await this.#store?.load(meshId)
      if (kept !== undefined && this.#chain.meshId === meshId && hasNoProof(this.#chain)) this.#chain = kept
    } catch (error) {
      this.#port.log.warn('what was proven of the coordination cannot be read; it is asked for again', { error })
    }
    if (beginning !== undefined) this.setBeginning(beginning)
    if (this.hasProof()) this.#tellListeners()
  }

  /** Somebody shows the beginning. @returns false where it is not that of this mesh */
  setBeginning(beginning: ChainBeginning): boolean {
    const chain = this.#chain
    if (chain === undefined || meshIdOf(this.#port.hash, beginning) !== chain.meshId) return false
    if (beginning.type === 'founded' && beginning.mesh !== this.#port.self.mesh) return false
    if (chain.beginning === undefined) this.#keep({ ...chain, beginning })
    return true
  }

  /** @param mayPin an anchor may be believed that nothing links to what is known here */
  submit(proof: Proof, mayPin: boolean): Promise<ProofVerdict> {
    if (this.#waiting >= MAX_WAITING) return Promise.resolve('busy')
    this.#waiting += 1
    const done = this.#tail.then(() => this.#examine(proof, mayPin))
    this.#tail = done.catch(() => {})
    return done.finally(() => {
      this.#waiting -= 1
    })
  }

  /** Called after something was proven. */
  onProven(fn: () => void): Stop {
    this.#listeners.add(fn)
    return () => this.#listeners.delete(fn)
  }

  counts(): { verified: number; unsaved: number } {
    return { verified: this.#verified, unsaved: this.#saver.unsaved() }
  }

  /** Resolves once what was proven is kept. */
  async flushed(): Promise<void> {
    await this.#tail
    await this.#saver.settled()
  }

  async #examine(proof: Proof, mayPin: boolean): Promise<ProofVerdict> {
    if (this.#chain === undefined) return 'other-mesh'
    const examined = examineProof(this.#chain, proof)
    if (examined.type === 'known') return 'known'
    let verdict: ProofVerdict
    if (examined.type === 'refused') verdict = examined.reason
    else if (examined.role === 'pin' && !mayPin) verdict = 'not-pinned'
    else verdict = await this.#add(proof, mayPin, examined.role === 'pin')
    if (FALSE.has(verdict)) this.#refuse(verdict, proof)
    return verdict
  }

  async #add(proof: Proof, mayPin: boolean, isPin: boolean): Promise<ProofVerdict> {
    this.#verified += proof.signatures.length
    const valid = await goodSigners(this.#port, proof)
    // It may belong to another mesh by now.
    if (this.#chain === undefined) return 'other-mesh'
    const { verdict, chain } = addProof(this.#chain, proof, valid, mayPin)
    if (verdict !== 'taken') return verdict
    this.#keep(chain)
    if (isPin)
      this.#port.log.warn('the voters of this mesh are believed as they were first met: nothing older proves them', {
        voters: proof.voters,
      })
    this.#tellListeners()
    return verdict
  }

  #keep(chain: ProofChain): void {
    this.#chain = chain
    this.#saver.save(chain)
  }

  #tellListeners(): void {
    for (const fn of [...this.#listeners]) fn()
  }

  #refuse(reason: string, { kind, term, index, voters }: Proof): void {
    this.#onRefused(reason)
    if (reason !== 'contradicting') return
    this.#port.log.error(
      'two histories of this mesh are signed: voters of it lie, or two stores of one voter were in use',
      { shown: { kind, term, index, voters }, proven: this.head() },
    )
  }
}
