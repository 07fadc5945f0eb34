import time
from cloud_helpers import emulated_clouds
from syncd.demo.emulator import World

def test_x(migrated_dsn, tmp_path):
    with emulated_clouds(World.sized(130, 2), migrated_dsn, tmp_path) as c:
        t=time.time()
        r = c.run()
        print(time.time()-t, r.counts, r.run["status"], r.run["error"])
        t=time.time()
        r = c.run()
        print(time.time()-t, r.counts, r.run["status"], r.run["error"])
        print(c.rows("select data_disks, tags from syncd.resource limit 12"))
        print(c.plan()[0])
