/**
 * Reads the log of a voter as it lies on its disk, and adds up for itself what was drawn and spent of each budget, in tokens: with
 * rules of its own, of which none is the product's. After each entry the product's state has to come to the same.
 *
 * Beside these books it keeps a second account, of draws alone: what each came to, or all of it where nobody said. Of no root
 * these are ever more than it has. State: holders, budgets, draws, epochs.
 */
export type Tokens = { readonly tokens?: number }
/** As it stands in the log; which of them are there follows from `do`. */
export interface LoggedChange {
  readonly do: string
  readonly id: string
  readonly peer: string
  readonly to: string
  readonly parent: string
  readonly epoch: number
  readonly incarnation: number
  readonly registration: number
  readonly draw: string
  readonly amounts: Tokens
  readonly least?: Tokens
  readonly spent: Tokens
  readonly ids: readonly string[]
}
export interface LoggedDecision {
  readonly kind: string
  readonly session: number
  readonly serial: number
  readonly at: number
  readonly by: string
  readonly input: { readonly leader?: string; readonly changes?: readonly LoggedChange[] }
}

interface HolderLife {
  readonly registration: number
  readonly incarnation: number
  isOver: boolean
}
interface Account {
  readonly holder: string
  readonly lender: string | undefined
  readonly parent: string | undefined
  readonly root: string
  readonly all: number
  readonly openedAt: number
  status: 'offered' | 'open' | 'closing' | 'closed'
  life: number | undefined
  /** By receipts and loans that are over. */
  spent: number
  returned: number
  readonly draws: Map<string, number>
  /** Loans of it that are not closed. */
  readonly loans: Set<Account>
}
/** What a draw came to, or may come to. */
export interface DrawCost {
  readonly root: string
  readonly budget: string
  readonly most: number
  /** As its receipt says; undefined: there was none. */
  spent: number | undefined
}

/** What the product has of one budget, in tokens. */
export interface ShownAccount {
  readonly status: string
  readonly spent: number
  readonly drawn: number
  readonly lent: number
  readonly returned: number
}

/** As docs/budgets.md says: a loan that nobody takes goes back after that. */
const UNTAKEN_MS = 30_000

export class BudgetBooks {
  readonly counts = { entries: 0, opened: 0, loans: 0, draws: 0, receipts: 0, expired: 0, refused: 0 }
  /** Of all draws that there ever were, by budget and name. */
  readonly costs = new Map<string, DrawCost>()
  /** Of all roots that there ever were: how much they have. */
  readonly roots = new Map<string, number>()
  readonly #holders = new Map<string, HolderLife>()
  readonly #accounts = new Map<string, Account>()
  readonly #leaders = new Map<number, string>()
  readonly #done = new Set<string>()
  #clock = 0

  read(index: number, term: number, { kind, session, serial, at, by, input }: LoggedDecision): void {
    this.counts.entries += 1
    // Asked for again, it has no effect again.
    const once = `${session}/${serial}`
    if (session > 0 && this.#done.has(once)) return
    this.#done.add(once)
    this.#clock = Math.max(this.#clock, at)
    if (kind === 'coordinator.begin' && input.leader !== undefined) this.#leaders.set(term, by)
    if (!kind.startsWith('budgets.')) return
    for (const change of input.changes ?? []) if (!this.#take(index, term, by, change)) this.counts.refused += 1
  }

  /** Budgets that are not closed. */
  open(): string[] {
    return [...this.#accounts].flatMap(([id, { status }]) => (status === 'closed' ? [] : [id]))
  }

  /** By root: what its draws came to, or may come to. */
  committed(): Map<string, number> {
    const sums = new Map<string, number>()
    for (const { root, most, spent = most } of this.costs.values()) sums.set(root, (sums.get(root) ?? 0) + spent)
    return sums
  }

  /** @returns where more is drawn and spent of a root than it has */
  overspent(): string | undefined {
    for (const [root, tokens] of this.committed()) {
      const all = this.roots.get(root) ?? 0
      if (tokens > all) return `${tokens} of ${root} are drawn or spent, and it has ${all}`
    }
    for (const [id, { all, spent, returned }] of this.#accounts)
      if (spent + this.#drawn(id) + this.#lent(id) + returned > all)
        return `more of ${id} is reserved than the ${all} it has`
    return undefined
  }

  /** @returns how the product's state differs */
  differs(shown: ReadonlyMap<string, ShownAccount>): string | undefined {
    for (const [id, { status, spent, returned }] of this.#accounts) {
      const own = { status, spent, drawn: this.#drawn(id), lent: this.#lent(id), returned }
      const other = shown.get(id)
      if (other === undefined || Object.entries(own).some(([name, value]) => Reflect.get(other, name) !== value))
        return `${id} is ${JSON.stringify(other)}, and ought to be ${JSON.stringify(own)}`
    }
    return shown.size === this.#accounts.size ? undefined : `${shown.size} budgets, and not ${this.#accounts.size}`
  }

  #drawn(id: string): number {
    return [...(this.#accounts.get(id)?.draws.values() ?? [])].reduce((sum, tokens) => sum + tokens, 0)
  }

  #lent(id: string): number {
    return [...(this.#accounts.get(id)?.loans ?? [])].reduce((sum, { all, returned }) => sum + all - returned, 0)
  }

  #free(id: string): number {
    const found = this.#accounts.get(id)
    return found === undefined ? 0 : found.all - found.spent - found.returned - this.#drawn(id) - this.#lent(id)
  }

  #isLive(peer: string, registration: number): boolean {
    const life = this.#holders.get(peer)
    return life !== undefined && life.registration === registration && !life.isOver
  }

  #isBusy(peer: string): boolean {
    return [...this.#accounts.values()].some(({ holder, life }) => holder === peer && life !== undefined)
  }

  #endLife(peer: string): void {
    const life = this.#holders.get(peer)
    if (life === undefined) return
    if (this.#isBusy(peer)) life.isOver = true
    else this.#holders.delete(peer)
  }

  /** One that its holder may draw from, and lend of. */
  #usable(id: string, by: string, registration: number): Account | undefined {
    const found = this.#accounts.get(id)
    const isOwn = found?.holder === by && found.life === registration && this.#isLive(by, registration)
    return isOwn && found.status === 'open' ? found : undefined
  }

  /** @returns whether it counts */
  #take(index: number, term: number, by: string, change: LoggedChange): boolean {
    const { id, registration } = change
    switch (change.do) {
      case 'register':
        return this.#register(index, by, change.incarnation)
      case 'renew':
        return this.#isLive(by, registration)
      case 'withdraw':
        if (!this.#isLive(by, registration)) return false
        this.#endLife(by)
        return true
      case 'open':
        if (!this.#isLive(by, registration)) return false
        if (this.#accounts.has(id)) return this.#accounts.get(id)?.holder === by
        this.#add(id, by, change, { life: registration })
        return true
      case 'lend':
        return this.#lend(by, change)
      case 'take':
        return this.#takeLoan(by, change)
      case 'draw':
        return this.#draw(by, change)
      case 'receipt':
        return this.#receipt(by, change)
      case 'close':
        return this.#close(by, id)
    }
    return change.epoch === term && this.#leaders.get(term) === by && this.#takeOfLeader(change)
  }

  #register(index: number, by: string, incarnation: number): boolean {
    const before = this.#holders.get(by)
    if (before !== undefined && before.incarnation > incarnation) return false
    if (before?.incarnation === incarnation && !before.isOver) return true
    if (before !== undefined && this.#isBusy(by)) before.isOver = true
    else this.#holders.set(by, { registration: index, incarnation, isOver: false })
    return true
  }

  #add(id: string, holder: string, { amounts }: LoggedChange, more: Partial<Account>): void {
    const all = amounts.tokens ?? 0
    const { parent } = more
    const root = parent === undefined ? id : (this.#accounts.get(parent)?.root ?? '')
    const sums = { all, spent: 0, returned: 0, draws: new Map(), loans: new Set<Account>() }
    const of = { holder, root, openedAt: this.#clock, lender: undefined, parent: undefined, life: undefined }
    const account: Account = { ...sums, ...of, status: parent === undefined ? 'open' : 'offered', ...more }
    this.#accounts.set(id, account)
    if (parent !== undefined) this.#accounts.get(parent)?.loans.add(account)
    if (parent === undefined) this.roots.set(id, all)
    this.counts[parent === undefined ? 'opened' : 'loans'] += 1
  }

  #lend(by: string, change: LoggedChange): boolean {
    const { id, parent, registration, to, amounts } = change
    if (this.#usable(parent, by, registration) === undefined) return false
    const before = this.#accounts.get(id)
    if (before !== undefined) return before.lender === by && before.holder === to && before.parent === parent
    if ((amounts.tokens ?? 0) > this.#free(parent)) return false
    this.#add(id, to, change, { parent, lender: by })
    return true
  }

  #takeLoan(by: string, { id, registration }: LoggedChange): boolean {
    const found = this.#accounts.get(id)
    if (found?.holder !== by || !this.#isLive(by, registration)) return false
    if (found.status !== 'offered') return found.status === 'open' && found.life === registration
    found.status = 'open'
    found.life = registration
    return true
  }

  #draw(by: string, { id, registration, draw, amounts, least = amounts }: LoggedChange): boolean {
    const found = this.#usable(id, by, registration)
    if (found === undefined) return false
    if (found.draws.has(draw)) return true
    const free = this.#free(id)
    const [asked, must] = [amounts.tokens ?? 0, least.tokens ?? 0]
    if (must > free) return false
    const most = Math.min(free, Math.max(asked, must))
    found.draws.set(draw, most)
    this.costs.set(`${id} ${draw}`, { root: found.root, budget: id, most, spent: undefined })
    this.counts.draws += 1
    return true
  }

  #receipt(by: string, { id, registration, draw, spent }: LoggedChange): boolean {
    const found = this.#accounts.get(id)
    if (found?.holder !== by || !this.#isLive(by, registration)) return false
    const cost = this.costs.get(`${id} ${draw}`)
    if (found.life !== registration || !found.draws.has(draw) || cost === undefined) return true
    found.draws.delete(draw)
    cost.spent = spent.tokens ?? 0
    this.#spend(id, found, cost.spent)
    this.#settleUp(id)
    this.counts.receipts += 1
    return true
  }

  /** No more than it has room for counts in it. */
  #spend(id: string, account: Account, tokens: number): void {
    account.spent += Math.min(tokens, this.#free(id))
  }

  #close(by: string, id: string): boolean {
    const found = this.#accounts.get(id)
    if (found === undefined || (found.holder !== by && found.lender !== by)) return false
    if (found.status === 'offered' || found.status === 'open') found.status = 'closing'
    this.#settleUp(id)
    return true
  }

  #takeOfLeader({ do: what, id, peer, registration, ids }: LoggedChange): boolean {
    switch (what) {
      case 'expire':
        return this.#expire(id)
      case 'dismiss':
        if (this.#holders.get(peer)?.registration === registration) this.#endLife(peer)
        return true
      case 'forget':
        for (const one of ids) if (this.#accounts.get(one)?.status === 'closed') this.#accounts.delete(one)
        return true
    }
    return false
  }

  #expire(id: string): boolean {
    const found = this.#accounts.get(id)
    if (found === undefined) return false
    const isLost = found.life !== undefined && !this.#isLive(found.holder, found.life)
    const isUntaken = found.status === 'offered' && this.#clock - found.openedAt >= UNTAKEN_MS
    if (!isLost && !isUntaken) return false
    // What was drawn is spent: who drew it says no more.
    if (isLost) {
      found.spent += this.#drawn(id)
      found.draws.clear()
    }
    found.status = 'closing'
    this.#settleUp(id)
    this.counts.expired += 1
    return true
  }

  /** What is free of one that closes goes up; where nothing of it is open, what was spent of it was spent of its parent. */
  #settleUp(id: string): void {
    const found = this.#accounts.get(id)
    if (found === undefined || (found.status !== 'closing' && found.status !== 'closed')) return
    if (found.draws.size === 0) found.life = undefined
    found.returned += this.#free(id)
    const isOver = found.status === 'closing' && found.draws.size === 0 && found.loans.size === 0
    if (isOver) found.status = 'closed'
    const parent = found.parent === undefined ? undefined : this.#accounts.get(found.parent)
    if (found.parent === undefined || parent === undefined) return
    if (isOver) {
      parent.loans.delete(found)
      this.#spend(found.parent, parent, found.spent)
    }
    this.#settleUp(found.parent)
  }
}
