/** Processes whose wall clock is wrong: a module that is loaded first moves Date; timers and the monotonic clock stay. */

const moved = (byMs: number): string => `
  const real = Date
  globalThis.Date = class extends real {
    constructor(...given) {
      if (given.length === 0) super(real.now() + ${byMs})
      else super(...given)
    }
    static now() {
      return real.now() + ${byMs}
    }
  }`

/** For Node: moves the clock of the process. */
export const shiftOption = (byMs: number): string => `--import=data:text/javascript,${encodeURIComponent(moved(byMs))}`

/** Command that runs a process with its clock moved, as forkProcess() takes it. */
export const shiftedBy = (byMs: number): string[] => ['env', `NODE_OPTIONS=${shiftOption(byMs)}`]
