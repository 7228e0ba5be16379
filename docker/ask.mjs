// Asks the debug endpoint of the node in this container: `node /app/ask.mjs /api/self`. Prints what it says; exit code 0 when
// the answer is good, else 1. For people and for the smoke test, since the endpoint stays on loopback.
const PORT = 8090

try {
  const response = await fetch(`http://127.0.0.1:${PORT}${process.argv[2]}`)
  console.log(await response.text())
  process.exit(response.ok ? 0 : 1)
} catch (error) {
  console.error(error.cause?.message ?? error.message)
  process.exit(1)
}
