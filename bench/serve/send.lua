-- wrk's script: FILE is the body, NAME VALUE … the headers. It tells counts and microseconds in two lines.
function init(args)
   wrk.method = "POST"
   local file = assert(io.open(args[1], "rb"))
   wrk.body = file:read("*a")
   file:close()
   for at = 2, #args, 2 do wrk.headers[args[at]] = args[at + 1] end
end

function done(summary, latency, requests)
   local bad = summary.errors
   local counts = {summary.requests, summary.duration, bad.connect, bad.read, bad.write, bad.timeout, bad.status}
   io.write("counted ", table.concat(counts, " "), "\n")
   io.write(string.format("latency %d %d\n", latency:percentile(50), latency:percentile(99)))
end
