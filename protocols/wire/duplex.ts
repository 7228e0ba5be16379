/**
 * A byte duplex: what a link needs of a stream. node/ wraps libp2p's streams; tests, and calls to oneself, use a pair in
 * memory.
 */
export interface DuplexListeners {
  data(bytes: Uint8Array): void
  /** Room again after buffered() was high. */
  writable(): void
  /** Called once; a reason where it did not end well. */
  close(reason?: Error): void
}

export interface Duplex {
  /** Hands bytes on; they may be kept without a copy. A closed duplex ignores them. */
  send(bytes: Uint8Array): void
  /** Bytes accepted by send() that the layer below has not taken yet. */
  buffered(): number
  /** Stops and restarts `data`; what was already read below stays bounded there. */
  pause(): void
  resume(): void
  /** Sets the listeners, once. Data that came earlier is delivered afterwards. */
  listen(on: DuplexListeners): void
  /** Ends the exchange after what was sent; both sides see a close. */
  close(): void
  /** Breaks off at once. */
  abort(reason: Error): void
}

interface Side {
  on: DuplexListeners | undefined
  paused: boolean
  open: boolean
  inbox: Uint8Array[]
  inboxBytes: number
}

const side = (): Side => ({ on: undefined, paused: false, open: true, inbox: [], inboxBytes: 0 })

const deliver = (to: Side, from: Side): void => {
  const had = to.inboxBytes > 0
  while (to.open && to.on !== undefined && !to.paused) {
    const bytes = to.inbox.shift()
    if (bytes === undefined) break
    to.inboxBytes -= bytes.length
    to.on.data(bytes)
  }
  if (had && to.inboxBytes === 0) from.on?.writable()
}

const end = (which: Side, reason?: Error): void => {
  if (!which.open) return
  which.open = false
  which.inbox = []
  which.inboxBytes = 0
  which.on?.close(reason)
}

const duplexOf = (mine: Side, theirs: Side, defer: (fn: () => void) => void): Duplex => ({
  send(bytes) {
    if (!mine.open || !theirs.open) return
    theirs.inbox.push(bytes)
    theirs.inboxBytes += bytes.length
    defer(() => deliver(theirs, mine))
  },
  buffered: () => theirs.inboxBytes,
  pause() {
    mine.paused = true
  },
  resume() {
    mine.paused = false
    defer(() => deliver(mine, theirs))
  },
  listen(on) {
    mine.on = on
    defer(() => deliver(mine, theirs))
  },
  close() {
    defer(() => {
      deliver(theirs, mine)
      end(theirs)
      end(mine)
    })
  },
  abort(reason) {
    end(mine, reason)
    defer(() => end(theirs, new Error('the other end broke off')))
  },
})

/** Two ends in memory. `defer` runs a function later, in order (queueMicrotask). */
export const duplexPair = (defer: (fn: () => void) => void): [Duplex, Duplex] => {
  const left = side()
  const right = side()
  return [duplexOf(left, right, defer), duplexOf(right, left, defer)]
}
