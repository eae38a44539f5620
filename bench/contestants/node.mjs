// Lists users with Node's fetch, which keeps its connection.
const [base, token, warmOrg, warmUps, org, calls, users] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}`, Accept: "application/json" };

async function listUsers(id) {
  const response = await fetch(`${base}/api/partners/v2.0/org/${id}/users`, { headers });
  return response.json();
}

for (let i = 0; i < Number(warmUps); i++) await listUsers(warmOrg);
const start = performance.now();
for (let i = 0; i < Number(calls); i++) {
  const list = await listUsers(org);
  if (list.length !== Number(users)) throw new Error(`${list.length} users instead of ${users}`);
}
console.log(`seconds ${((performance.now() - start) / 1000 / Number(calls)).toFixed(9)}`);
process.exit(0);
