/**
 * Signatures that were found good lately, by all nodes of this process: where several live in one, each of them is sent
 * the same bytes, and a check costs more than anything else that is done with them.
 *
 * State: at most MAX_ENTRIES of messages up to MAX_BYTES, the oldest go first. Only a signature that is good is kept, with
 * whose it is and the bytes themselves, and both must be the same.
 */
const MAX_ENTRIES = 512
/** Larger messages are rare, and would be most of what is kept. */
const MAX_BYTES = 4_096

interface Entry {
  readonly peer: string
  readonly bytes: Uint8Array
  readonly isGood: Promise<boolean>
}

export interface SignatureCache {
  /** What `check` says, or said to somebody who asked before. */
  once(peer: string, bytes: Uint8Array, signature: Uint8Array, check: () => Promise<boolean>): Promise<boolean>
  size(): number
}

export const createSignatureCache = (): SignatureCache => {
  const entries = new Map<string, Entry>()

  return {
    once(peer, bytes, signature, check) {
      if (bytes.length > MAX_BYTES) return check()
      const key = Buffer.from(signature.buffer, signature.byteOffset, signature.length).toString('latin1')
      const known = entries.get(key)
      if (known !== undefined && known.peer === peer && Buffer.compare(known.bytes, bytes) === 0) return known.isGood
      const isGood = check()
      const entry = { peer, bytes: new Uint8Array(bytes), isGood }
      entries.set(key, entry)
      const oldest = entries.size > MAX_ENTRIES ? entries.keys().next().value : undefined
      if (oldest !== undefined) entries.delete(oldest)
      const forget = (): void => {
        if (entries.get(key) === entry) entries.delete(key)
      }
      isGood.then((good) => {
        if (!good) forget()
      }, forget)
      return isGood
    },
    size: () => entries.size,
  }
}

export const signatureCache = createSignatureCache()
